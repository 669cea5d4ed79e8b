"""The label-delayed windows of merchants, from their tiles of days: how many payments, and how many frauds.

A window is as many whole days before the day of its head as it is long, and what that day holds before the head's
quarter, without what its first day holds before the same quarter. So one look at each day serves every window.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.definitions import (
    DAY_MS,
    DAY_QUARTER_MS,
    DAY_QUARTERS,
    FRAUD_LEVEL,
    LABEL_DELAY_MS,
    RISK_WINDOWS,
    VELOCITY_LEVELS,
)
from features.merchant_tail import Tail
from features.transaction import Int64s

Bools = npt.NDArray[np.bool_]
Records = npt.NDArray[Any]

_DAY_LEVEL: Final = VELOCITY_LEVELS[-1]
assert (_DAY_LEVEL.tile_ms, _DAY_LEVEL.tiles) == (FRAUD_LEVEL.tile_ms, FRAUD_LEVEL.tiles)
_LENGTHS: Final = np.array([window.duration_ms // DAY_MS for window in RISK_WINDOWS])
_EDGES: Final = np.concatenate([np.zeros(1, np.int64), _LENGTHS])
_BACK: Final = np.arange(_LENGTHS.max() + 1)


def delayed_aggregates(tiles: Records, tail: Tail, event_time_ms: Int64s) -> dict[str, Int64s]:
    """Return the label-delayed aggregates of n merchants, each (n,) int64, under their column names.

    Args:
        tiles: (n,) records of dtype ``TILES``.
        tail: their arrivals that no tile holds yet.
        event_time_ms: (n,) of the transactions.
    """
    head = (event_time_ms - LABEL_DELAY_MS) // DAY_QUARTER_MS
    days = Days.before(head)
    oldest = _oldest(tiles[_DAY_LEVEL.name], tail.newest_ms // DAY_MS)
    counts = days.held(tiles[_DAY_LEVEL.name], oldest)
    long_ago = tail.counts & (tail.time_ms < head[:, None] * DAY_QUARTER_MS)
    if long_ago.any():
        counts += (long_ago & _inside(tail.time_ms // DAY_QUARTER_MS, head, oldest)).sum(axis=2)
    oldest = _oldest(tiles[FRAUD_LEVEL.name])
    frauds = days.held(tiles[FRAUD_LEVEL.name], oldest)
    changes = tiles["recent_changes"]
    # Labels known at or after a transaction are in the tiles when it arrives late or again. An empty place says 0.
    known_later = changes["known_ms"] >= event_time_ms[:, None]
    if known_later.any():
        chosen = known_later & _inside(changes["quarter"].astype(np.int64), head, oldest)
        frauds -= np.einsum("wnt,nt->wn", chosen, changes["change"].astype(np.int64))
    columns: dict[str, Int64s] = {}
    for i, window in enumerate(RISK_WINDOWS):
        columns[f"merchant_delayed_count_{window.name}"] = counts[i]
        columns[f"merchant_delayed_frauds_{window.name}"] = frauds[i]
    return columns


@dataclass(frozen=True, slots=True)
class Days:
    """The days of n transactions that their delayed windows lie in, from the head's back.

    Attributes:
        row: (n, 1) numbers of the transactions.
        day: (n, d) the days.
        slot: (n, d) where a ring holds them.
        quarter: (n, 1) the first quarter of the head's day that the windows do not hold.
    """

    row: Int64s
    day: Int64s
    slot: Int64s
    quarter: Int64s

    @classmethod
    def before(cls, head: Int64s) -> "Days":
        """Return the days before heads (n,), the first quarters that the windows do not hold."""
        day, quarter = np.divmod(head[:, None], DAY_QUARTERS)
        days = day - _BACK
        return cls(np.arange(len(head))[:, None], days, days % _DAY_LEVEL.tiles, quarter)

    def held(self, ring: Records, oldest: Int64s) -> Int64s:
        """Return what tiles of days (n, tiles) hold in each window (windows, n), from ``oldest`` (n, 1) on."""
        kept = (ring["tile"][self.row, self.slot] == self.day) & (self.day >= oldest)
        running = (kept * ring["count"][self.row, self.slot]).cumsum(axis=1, dtype=np.int64)
        # Nothing of a day lies before its first quarter; -1 reads a number there that does not matter.
        before = ring["before"][self.row, self.slot.take(_EDGES, axis=1), self.quarter - 1].astype(np.int64)
        before *= kept.take(_EDGES, axis=1) & (self.quarter > 0)
        held: Int64s = running.take(_LENGTHS, axis=1) - running[:, :1] + before[:, :1] - before[:, 1:]
        return held.T


def _oldest(ring: Records, newest: Int64s | int = 0) -> Int64s:
    """Return the oldest day (n, 1) that counts: as many as a ring has, back from its newest and ``newest``."""
    latest: Int64s = np.maximum(ring["tile"].max(axis=1).astype(np.int64), newest)
    return (latest - (_DAY_LEVEL.tiles - 1))[:, None]


def _inside(quarter: Int64s, head: Int64s, oldest: Int64s) -> Bools:
    """Return which quarters (n, k) each window holds (windows, n, k) of the days from ``oldest`` (n, 1) on."""
    first = head - _LENGTHS[:, None] * DAY_QUARTERS
    kept = (quarter >= oldest * DAY_QUARTERS) & (quarter < head[:, None])
    inside: Bools = kept & (quarter >= first[:, :, None])
    return inside
