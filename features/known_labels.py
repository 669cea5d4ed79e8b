"""The recorded labels of a history: who was known to be a fraud, from when, until when, and what that adds up to.

A verdict changes the frauds of a quarter of its merchant's day by one. A window of whole quarters holds each of
them for one interval of time, so a change counts from one moment until another, for whatever transaction of the
merchant lies between, in whatever order they arrived.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.definitions import RISK_WINDOWS
from features.entity_events import banded_key, cumulative
from features.label import ready_ms
from features.transaction import Int64s

_COLUMN: Final = "known_labels"


@dataclass(frozen=True, slots=True, eq=False)
class LabelChanges:
    """m changes of verdict, by row of the history and then by time.

    Attributes:
        row: (m,) the labelled row.
        known_ms: (m,) when it became known.
        change: (m,) +1: from now on a fraud; -1: a fraud no more.
    """

    row: Int64s
    known_ms: Int64s
    change: Int64s


def is_recorded(history: pa.Table) -> npt.NDArray[np.bool_]:
    """Return for each row (n,) whether it says when its labels became known, if any did."""
    recorded: npt.NDArray[np.bool_] = history.column(_COLUMN).is_valid().to_numpy()
    return recorded


def label_changes(history: pa.Table) -> LabelChanges:
    """Return the changes of verdict that a history records. A verdict that stands already changes nothing."""
    labels = history.column(_COLUMN).combine_chunks()
    row: Int64s = pc.list_parent_indices(labels).to_numpy().astype(np.int64)
    verdicts = pc.list_flatten(labels)
    known_ms: Int64s = pc.struct_field(verdicts, "known_at").cast(pa.int64()).to_numpy(zero_copy_only=False)
    is_fraud: Int64s = pc.struct_field(verdicts, "is_fraud").to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.lexsort((known_ms, row))
    row, known_ms, is_fraud = row[order], known_ms[order], is_fraud[order]
    before = np.concatenate([np.zeros(1, np.int64), is_fraud])[:-1]
    before[np.flatnonzero(np.diff(row, prepend=-1))] = 0
    changed = is_fraud != before
    return LabelChanges(row[changed], known_ms[changed], (is_fraud - before)[changed])


def recorded_frauds(codes: Int64s, event_time_ms: Int64s, changes: LabelChanges) -> dict[str, Int64s]:
    """Return the ``merchant_delayed_frauds_*`` that recorded labels add up to, each (n,).

    Args:
        codes: (n,) the merchant of each row as an integer; -1 for none.
        event_time_ms: (n,).
        changes: of these rows.

    Raises:
        InvalidHistory: merchants times time span exceed 63 bits.
    """
    names = [f"merchant_delayed_frauds_{window.name}" for window in RISK_WINDOWS]
    chosen = codes[changes.row] >= 0
    row, known_ms, change = changes.row[chosen], changes.known_ms[chosen], changes.change[chosen]
    if not len(row):
        return {name: np.zeros(len(codes), np.int64) for name in names}
    ready = ready_ms(event_time_ms[row])
    enters = np.maximum(ready, known_ms + 1)
    queries = _Queries(codes, event_time_ms)
    columns = {}
    for name, window in zip(names, RISK_WINDOWS, strict=True):
        leaves = ready + window.duration_ms
        counts = enters < leaves
        merchants, changed = codes[row][counts], change[counts]
        entered = queries.sum_until(merchants, enters[counts], changed)
        columns[name] = entered - queries.sum_until(merchants, leaves[counts], changed)
    return columns


class _Queries:
    """The rows that ask: n merchants at n times."""

    def __init__(self, codes: Int64s, event_time_ms: Int64s) -> None:
        self._codes = codes
        self._earliest = int(event_time_ms.min())
        self._latest = int(event_time_ms.max())
        self._asked = np.maximum(self._key(codes, event_time_ms), 0)
        self._start = np.maximum(self._key(codes, np.full(len(codes), self._earliest)), 0)

    def sum_until(self, codes: Int64s, time_ms: Int64s, change: Int64s) -> Int64s:
        """Return for each row (n,) the sum of its merchant's changes up to its time."""
        # What comes before the first row comes with it, and what comes after the last is never seen.
        key = self._key(codes, np.clip(time_ms, self._earliest, self._latest + 1))
        order = np.argsort(key, kind="stable")
        total, key = cumulative(change[order]), key[order]
        sums = total[np.searchsorted(key, self._asked, "right")] - total[np.searchsorted(key, self._start)]
        return np.where(self._codes >= 0, sums, 0)

    def _key(self, codes: Int64s, time_ms: Int64s) -> Int64s:
        return banded_key(codes, time_ms - self._earliest, self._latest - self._earliest + 2)
