"""The labels of a history: who was known to be a fraud, from when, until when, and what that adds up to.

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

from features.definitions import LABEL_DELAY_MS, RISK_WINDOWS
from features.entity_events import banded_key, cumulative
from features.label import ready_ms
from features.transaction import Int64s

KNOWN_LABELS: Final = "known_labels"
"""The column of a history that they lie in."""


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

    def standing(self, rows: int, as_of_ms: int) -> Int64s:
        """Return the verdict (n,) that stood for each of n rows at a moment: 1 for a fraud, else 0."""
        known = self.known_ms <= as_of_ms
        frauds = np.zeros(rows, np.int64)
        np.add.at(frauds, self.row[known], self.change[known])
        return frauds


def is_recorded(history: pa.Table) -> npt.NDArray[np.bool_]:
    """Return for each row (n,) whether it says when its labels became known, if any did."""
    recorded: npt.NDArray[np.bool_] = history.column(KNOWN_LABELS).is_valid().to_numpy()
    return recorded


def label_changes(history: pa.Table) -> LabelChanges:
    """Return the changes of verdict that a history records. A verdict that stands already changes nothing."""
    labels = history.column(KNOWN_LABELS).combine_chunks()
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


def verdict_changes(history: pa.Table) -> LabelChanges:
    """Return the changes of verdict of all rows: as recorded, or else a fraud from the label delay after it on."""
    recorded = label_changes(history)
    is_fraud = pc.fill_null(pc.equal(history.column("is_fraud"), 1), False).to_numpy()
    delayed = np.flatnonzero(is_fraud & ~is_recorded(history))
    event_time_ms: Int64s = history.column("event_time").cast(pa.int64()).to_numpy()
    return LabelChanges(
        np.concatenate([recorded.row, delayed]),
        np.concatenate([recorded.known_ms, event_time_ms[delayed] + LABEL_DELAY_MS]),
        np.concatenate([recorded.change, np.ones(len(delayed), np.int64)]),
    )


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
    merchant, ready = codes[row], ready_ms(event_time_ms[row])
    enters = np.maximum(ready, known_ms + 1)
    earliest, latest = int(event_time_ms.min()), int(event_time_ms.max())
    width = latest - earliest + 2
    asked = banded_key(np.maximum(codes, 0), event_time_ms - earliest, width)
    columns = {}
    for name, window in zip(names, RISK_WINDOWS, strict=True):
        leaves = ready + window.duration_ms
        counts = enters < leaves
        # What enters before the first row enters with it, and what comes after the last one is never seen. Each
        # change both enters and leaves its merchant's band of keys, so every band begins at a sum of nothing.
        moment = np.clip(np.concatenate([enters[counts], leaves[counts]]), earliest, latest + 1)
        key = banded_key(np.tile(merchant[counts], 2), moment - earliest, width)
        order = np.argsort(key, kind="stable")
        total = cumulative(np.concatenate([change[counts], -change[counts]])[order])
        columns[name] = np.where(codes >= 0, total[np.searchsorted(key[order], asked, "right")], 0)
    return columns
