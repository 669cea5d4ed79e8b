"""The newest arrivals of merchants, one by one: those that no tile holds yet."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.definitions import RECENT_EVENTS
from features.layout import TAIL_EVENTS
from features.transaction import Int64s

Bools = npt.NDArray[np.bool_]

_PLACES: Final = np.arange(TAIL_EVENTS - 1)


@dataclass(frozen=True, slots=True)
class Tail:
    """The arrivals of n merchants that no tile holds yet, the oldest first.

    Attributes:
        time_ms, amount_minor: (n, k) of the arrivals; 0 where a tail has fewer than k.
        counts: (n, k) True where an arrival may count: not among the newest ``RECENT_EVENTS`` and at or after the
            transaction in event time, and, for a retry, not itself or newer.
        newest_ms: (n,) the latest event time of the tail; 0 where it is empty.
    """

    time_ms: Int64s
    amount_minor: Int64s
    counts: Bools
    newest_ms: Int64s

    @classmethod
    def of(cls, arrivals: npt.NDArray[Any], event_time_ms: Int64s, hashes: npt.NDArray[np.uint64]) -> "Tail":
        """Return the tails of n merchants.

        Args:
            arrivals: (n, k) records of dtype ``RECENT``, zeros after the newest.
            event_time_ms, hashes: (n,) of the transactions themselves.
        """
        time_ms = np.ascontiguousarray(arrivals["event_time_ms"])
        present = time_ms > 0
        lengths = present.sum(axis=1, keepdims=True)
        recent = present & (lengths - RECENT_EVENTS <= _PLACES)
        counts = present & ~(recent & (time_ms >= event_time_ms[:, None]))
        itself = recent & (arrivals["hash"] == hashes[:, None])
        if itself.any():
            first = np.where(itself.any(axis=1), itself.argmax(axis=1), len(_PLACES))
            counts &= first[:, None] > _PLACES
        return cls(time_ms, arrivals["amount_minor"], counts, time_ms.max(axis=1))
