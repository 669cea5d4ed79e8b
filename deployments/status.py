"""What a replica says of itself to GET /ready."""

import time
from collections.abc import Mapping
from typing import Final, TypedDict

from ray import serve


class Status(TypedDict):
    """State of one dependency, as seen by one of its replicas.

    ``ok`` says whether it serves; ``problem`` what an operator should see to, although it may serve well, such
    as a new configuration or bundle that was refused.
    """

    ok: bool
    detail: str
    problem: str
    replica: str
    uptime_s: float


NOT_WAITED_FOR: Final = frozenset({"decision_log", "registry"})
"""Parts without which payments are decided as usual: the log waits in the store, the version in service stays."""


def decides(statuses: Mapping[str, Status]) -> bool:
    """Return whether all parts serve that decisions wait for.

    A load balancer goes by it: a head that is away, and DecisionLog with it, must not take every node out.
    """
    return all(status["ok"] for name, status in statuses.items() if name not in NOT_WAITED_FOR)


class Uptime:
    """Remembers when this replica began."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def status(self, ok: bool, detail: str, problem: str = "") -> Status:
        """Return the status of this replica; ``detail`` says what is served, or why nothing is."""
        return Status(
            ok=ok,
            detail=detail,
            problem=problem,
            replica=serve.get_replica_context().replica_id.unique_id,
            uptime_s=round(time.monotonic() - self._began, 1),
        )


def no_answer(error: BaseException) -> Status:
    """Return the status of a part that did not answer."""
    return Status(ok=False, detail=f"no answer: {type(error).__name__}", problem="", replica="", uptime_s=0.0)
