"""What a client got for its payments: every attempt, and what of it counts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from loadtests.chaos.payments import Payment

OK: Final = 200
BUSY: Final = 503
WITHOUT_STORE: Final = frozenset({"feature_store", "decision_log"})
NO_ANSWER: Final = 0
"""The status of an attempt whose connection failed or whose answer did not come in time."""


class Told(NamedTuple):
    """What of an answer must be the same in every answer to one id."""

    decision: str
    probability: float | None
    model_version: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and how it ended; times in seconds of the client's clock.

    Attributes:
        status: of the answer; ``NO_ANSWER`` where none came.
        error: why none came, or what was wrong with the answer.
        retry_after: whether a 503 said when to come again.
    """

    sent_s: float
    ended_s: float
    status: int
    error: str = ""
    retry_after: bool = False
    told: Told | None = None
    duplicate: bool = False
    degraded: tuple[str, ...] = ()

    @property
    def impaired(self) -> bool:
        """Whether a client saw that something was wrong: no decision, or one that did without a part."""
        return self.told is None or bool(self.degraded)


@dataclass(slots=True)
class Asked:
    """A payment and every attempt to have it decided."""

    payment: Payment
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def told(self) -> Told | None:
        """The first decision that the client got; None while it has none."""
        return next((one.told for one in self.attempts if one.told is not None), None)

    @property
    def differs(self) -> bool:
        """Whether two answers told different things."""
        return len({one.told for one in self.attempts if one.told is not None}) > 1

    @property
    def without_store(self) -> bool:
        """Whether one of the answers was given while the store did not answer.

        Then nobody could know whether the id was decided before, and docs/guarantees.md lets it be decided anew.
        """
        return any(WITHOUT_STORE & set(one.degraded) for one in self.attempts)


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over the payments of a trial.

    Attributes:
        requests: payments, each once however often it was tried.
        failed: that had no decision in the end.
        busy: attempts answered by 503, by error code.
        unanswered: attempts without an answer: the connection failed, or it took too long; by kind of failure.
        wrong: attempts answered otherwise than a client is told to expect, by status and error code.
        degraded: payments whose first decision did without a part.
        differing: payments with two answers that differ, with the store at hand.
        anew: payments with two answers that differ, one of them made without the store.
    """

    requests: int
    failed: int
    busy: dict[str, int]
    unanswered: dict[str, int]
    wrong: dict[str, int]
    degraded: int
    differing: int
    anew: int


def totals(asked: Iterable[Asked]) -> Totals:
    """Return the counts over some payments."""
    every = list(asked)
    attempts = [attempt for one in every for attempt in one.attempts]
    return Totals(
        requests=len(every),
        failed=sum(one.told is None for one in every),
        busy=dict(Counter(attempt.error for attempt in attempts if attempt.status == BUSY)),
        unanswered=dict(Counter(attempt.error for attempt in attempts if attempt.status == NO_ANSWER)),
        wrong=dict(Counter(_wrong(attempt) for attempt in attempts if _wrong(attempt))),
        degraded=sum(bool(_first(one).degraded) for one in every if one.told is not None),
        differing=sum(one.differs and not one.without_store for one in every),
        anew=sum(one.differs and one.without_store for one in every),
    )


def longest_s(asked: Iterable[Asked]) -> float:
    """Return the longest time that a client waited for a decision, over all its attempts; 0 without one."""
    waits = []
    for one in asked:
        decided = [attempt.ended_s for attempt in one.attempts if attempt.told is not None]
        if decided:
            waits.append(min(decided) - min(attempt.sent_s for attempt in one.attempts))
    return max(waits, default=0.0)


def recovery_s(asked: Iterable[Asked], struck_s: float) -> float:
    """Return the seconds from a fault to the end of the last attempt that it impaired; 0 when none was."""
    ends = [
        attempt.ended_s - struck_s
        for one in asked
        for attempt in one.attempts
        if attempt.impaired and attempt.ended_s > struck_s
    ]
    return max(ends, default=0.0)


def read_answer(status: int, document: Any, asked: str) -> tuple[Told | None, bool, tuple[str, ...], str]:
    """Return what an answer told, whether it is a duplicate, what it did without, and what is wrong with it."""
    if status != OK:
        error = document.get("error", {}) if isinstance(document, dict) else {}
        return None, False, (), str(error.get("code", "no error document"))
    if not isinstance(document, dict) or document.get("transaction_id") != asked:
        return None, False, (), "an answer to something else"
    told = Told(document["decision"], document["fraud_probability"], document["model_version"])
    return told, bool(document["duplicate"]), tuple(document["degraded"]), ""


def _wrong(attempt: Attempt) -> str:
    """Return the name of an answer that no client is told to expect, "" of any other."""
    if attempt.status == BUSY:
        return "" if attempt.retry_after else "503 without Retry-After"
    return "" if attempt.status in (OK, NO_ANSWER) else f"{attempt.status} {attempt.error}"


def _first(one: Asked) -> Attempt:
    return next(attempt for attempt in one.attempts if attempt.told is not None)
