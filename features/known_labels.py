"""The labels of a history: who was known to be a fraud, from when, until when, and what that adds up to.

A verdict changes the frauds of a quarter of its merchant's day by one. A window of whole quarters holds each of
them for one interval of time, so a change counts from one moment until another, for whatever transaction of the
merchant lies between, in whatever order they arrived.
"""

from dataclasses import dataclass
from typing import Final, Self

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
ALWAYS: Final = np.iinfo(np.int64).min
NEVER: Final = np.iinfo(np.int64).max
UNDECIDED: Final = -1


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
    recorded: npt.NDArray[np.bool_] = history.column(KNOWN_LABELS).is_valid().to_numpy()
    return recorded


def label_changes(history: pa.Table) -> LabelChanges:
    """Return the changes of verdict that a history records. A verdict that stands already changes nothing."""
    row, known_ms, is_fraud = _verdicts(history)
    before = np.concatenate([np.zeros(1, np.int64), is_fraud])[:-1]
    before[np.flatnonzero(np.diff(row, prepend=-1))] = 0
    changed = is_fraud != before
    return LabelChanges(row[changed], known_ms[changed], (is_fraud - before)[changed])


def _verdicts(history: pa.Table) -> tuple[Int64s, Int64s, Int64s]:
    """Return row, time of knowing and verdict of each recorded label, by row and then by time."""
    labels = history.column(KNOWN_LABELS).combine_chunks()
    row: Int64s = pc.list_parent_indices(labels).to_numpy().astype(np.int64)
    verdicts = pc.list_flatten(labels)
    known_ms: Int64s = pc.struct_field(verdicts, "known_at").cast(pa.int64()).to_numpy(zero_copy_only=False)
    is_fraud: Int64s = pc.struct_field(verdicts, "is_fraud").to_numpy(zero_copy_only=False).astype(np.int64)
    order = np.lexsort((known_ms, row))
    return row[order], known_ms[order], is_fraud[order]


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """Who was known as a fraud, and from when: what could be learned of n rows at any moment.

    Attributes:
        first_ms: (n,) when the first verdict on a row became known: as recorded, or for a fraud of which nothing
            is recorded the label delay after it. ``ALWAYS`` where there is none, and silence says genuine;
            ``NEVER`` for a fraud that no label tells.
        changes: of all rows.
    """

    first_ms: Int64s
    changes: LabelChanges

    @classmethod
    def of(cls, history: pa.Table) -> Self:
        """Return the verdicts on the rows of a history: of its columns of event time, truth and known labels."""
        is_fraud = pc.fill_null(pc.equal(history.column("is_fraud"), 1), False).to_numpy()
        recorded = is_recorded(history)
        first_ms = np.where(recorded & is_fraud, NEVER, ALWAYS)
        row, known_ms, _ = _verdicts(history)
        # In order of row and then of time, so that the first of a row is where a row begins.
        first = np.flatnonzero(np.diff(row, prepend=-1))
        first_ms[row[first]] = known_ms[first]
        delayed = np.flatnonzero(is_fraud & ~recorded)
        event_time_ms: Int64s = history.column("event_time").cast(pa.int64()).to_numpy()
        first_ms[delayed] = event_time_ms[delayed] + LABEL_DELAY_MS
        changes = label_changes(history)
        return cls(
            first_ms,
            LabelChanges(
                np.concatenate([changes.row, delayed]),
                np.concatenate([changes.known_ms, first_ms[delayed]]),
                np.concatenate([changes.change, np.ones(len(delayed), np.int64)]),
            ),
        )

    def known_by(self, moment_ms: int) -> Int64s:
        """Return what was known of each row (n,) at a moment: 1 fraud, 0 genuine, ``UNDECIDED`` not known yet."""
        known = np.zeros(len(self.first_ms), np.int64)
        told = self.changes.known_ms <= moment_ms
        np.add.at(known, self.changes.row[told], self.changes.change[told])
        known[self.first_ms > moment_ms] = UNDECIDED
        return known


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
