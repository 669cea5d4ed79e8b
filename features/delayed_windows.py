"""The label-delayed windows of merchants, from their tiles of days: how many payments, and how many frauds.

A window is as many whole days before the day of its head as it is long, and what that day holds before the head's
quarter, without what its first day holds before the same quarter. So one look at each day serves every window.
"""

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
    TileLevel,
)
from features.transaction import Int64s

Bools = npt.NDArray[np.bool_]
Records = npt.NDArray[Any]

_DAY_LEVEL: Final = VELOCITY_LEVELS[-1]
_LENGTHS: Final = np.array([window.duration_ms // DAY_MS for window in RISK_WINDOWS])
_EDGES: Final = np.concatenate([np.zeros(1, np.int64), _LENGTHS])
_BACK: Final = np.arange(_LENGTHS.max() + 1)


def delayed_aggregates(merchants: Records, event_time_ms: Int64s, later: Bools | None) -> dict[str, Int64s]:
    """Return the label-delayed aggregates of n merchants, each (n,) int64, under their column names.

    Args:
        merchants: (n,) records of dtype ``MERCHANT``.
        event_time_ms: (n,) of the transactions.
        later: (n, RECENT_EVENTS) the remembered arrivals to take out again; None: there are none.
    """
    head = (event_time_ms - LABEL_DELAY_MS) // DAY_QUARTER_MS
    counts, oldest = _held(merchants, _DAY_LEVEL, head)
    if later is not None:
        quarter = merchants["recent"]["event_time_ms"] // DAY_QUARTER_MS
        counts -= (later & _inside(quarter, head, oldest)).sum(axis=2)
    frauds, oldest = _held(merchants, FRAUD_LEVEL, head)
    changes = merchants["recent_changes"]
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


def _held(merchants: Records, level: TileLevel, head: Int64s) -> tuple[Int64s, Int64s]:
    """Return what tiles of days hold in each window (windows, n), and the oldest day (n, 1) that they keep.

    Args:
        head: (n,) the first quarter that the windows do not hold.
    """
    tiles = merchants[level.name]
    day, quarter = np.divmod(head[:, None], DAY_QUARTERS)
    days, row = day - _BACK, np.arange(len(head))[:, None]
    slot = days % level.tiles
    oldest = tiles["tile"].max(axis=1, keepdims=True).astype(np.int64) - (level.tiles - 1)
    kept = (tiles["tile"][row, slot] == days) & (days >= oldest)
    running = (kept * tiles["count"][row, slot]).cumsum(axis=1, dtype=np.int64)
    # Nothing of a day lies before its first quarter; -1 reads a number there that does not matter.
    before = tiles["before"][row, slot.take(_EDGES, axis=1), quarter - 1].astype(np.int64)
    before *= kept.take(_EDGES, axis=1) & (quarter > 0)
    held = running.take(_LENGTHS, axis=1) - running[:, :1] + before[:, :1] - before[:, 1:]
    return held.T, oldest


def _inside(quarter: Int64s, head: Int64s, oldest: Int64s) -> Bools:
    """Return which quarters (n, k) each window holds (windows, n, k) of the days from ``oldest`` (n, 1) on."""
    first = head - _LENGTHS[:, None] * DAY_QUARTERS
    kept = (quarter >= oldest * DAY_QUARTERS) & (quarter < head[:, None])
    inside: Bools = kept & (quarter >= first[:, :, None])
    return inside
