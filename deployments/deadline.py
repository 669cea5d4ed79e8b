"""The deadline of a micro-batch, carried from hop to hop as what is left of it: clocks of machines differ."""

import asyncio
from typing import Final, NamedTuple

HISTORY_SHARE: Final = 0.6
"""Share of the time left that the features may take. What they leave, the models and the record have."""
MODEL_SHARE: Final = 0.7
"""Share of the time left after the features that the models may take; both are asked at once."""
RECORD_SHARE: Final = 0.8
"""Share of the time left after the models that recording the decisions may take; the rest is the way back."""
RECORD_S: Final = 0.02
"""What recording gets at least: a decision that stands nowhere is not told."""


class TimeLeft(NamedTuple):
    """How long a batch's oldest transaction has waited, and what is left of its earliest deadline, in seconds."""

    waited_s: float
    left_s: float


class Deadline:
    """The deadline of a batch on this replica, from the moment that the batch came."""

    def __init__(self, time: TimeLeft) -> None:
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._arrived = now - time.waited_s
        self._ends = now + time.left_s

    @property
    def left_s(self) -> float:
        """Seconds left, never below 0."""
        return max(self._ends - self._loop.time(), 0.0)

    @property
    def age_s(self) -> float:
        """Seconds since the batch's oldest transaction reached the ingress."""
        return self._loop.time() - self._arrived
