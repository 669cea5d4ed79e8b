"""The archived labels, ready to be put beside the payments that they are about."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from deployments.ledger.archive import Archive
from features.history import KNOWN_LABELS
from features.transaction import MAX_CLOCK_SKEW_MS, Int64s

NO_VERDICT: Final = -1
_COLUMNS: Final = ["transaction_id", "known_ms", "is_fraud", "taken_at_ms"]

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What labels say of n payments.

    Attributes:
        verdict: (n,) the one that stands: 1 fraud, 0 no fraud, ``NO_VERDICT`` where nobody said anything.
        known_labels: (n,) cells of a history.
        labels: how many labels they are.
    """

    verdict: npt.NDArray[np.int8]
    known_labels: pa.ListArray
    labels: int


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """All archived labels, in memory: some 50 bytes each, and the id.

    Attributes:
        rows: transaction_id, known_ms, is_fraud, taken_at_ms; sorted by the hash of the id, those of one id in the
            order in which they were taken.
        hashes: (n,) of the ids.
    """

    rows: pa.Table
    hashes: Hashes

    @classmethod
    def of(cls, labels: Archive) -> Self:
        """Return what an archive of labels holds."""
        tables = [table for day in labels.days() for table in labels.tables(day, _COLUMNS)]
        rows = pa.concat_tables([labels.kind.schema.empty_table().select(_COLUMNS), *tables]).combine_chunks()
        hashes = _hashes(rows.column("transaction_id"))
        order = np.argsort(hashes, kind="stable")
        return cls(rows.take(pa.array(order)), hashes[order])

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def first_taken_ms(self) -> int | None:
        """When the first of them was taken; None where there is none."""
        return pc.min(self.rows.column("taken_at_ms")).as_py()  # type: ignore[no-any-return]

    def of_payments(self, ids: pa.ChunkedArray, event_time_ms: Int64s, decided_ms: Int64s) -> Told:
        """Return what the labels say of n payments, whose ids differ.

        The last verdict known stands; of those known at the same moment the one that was taken last. A label
        counts from ``known_at`` on, but not before it was taken: the service did not know it then. Where a payment
        was decided more than a day from its date, as in a replay, no clock says when that was.
        """
        hashes = _hashes(ids)
        first, end = (np.searchsorted(self.hashes, hashes, side) for side in ("left", "right"))
        row = np.repeat(np.arange(len(hashes)), end - first)
        place = np.arange(len(row)) - np.repeat(np.cumsum(end - first) - end, end - first)
        found = self.rows.take(pa.array(place))
        same = pc.equal(found.column("transaction_id"), ids.take(pa.array(row))).to_numpy()
        found, row = found.filter(pa.array(same)), row[same]
        known_ms, taken_ms = (found.column(name).to_numpy() for name in ("known_ms", "taken_at_ms"))
        is_live = np.abs(decided_ms - event_time_ms) <= MAX_CLOCK_SKEW_MS
        known_ms = np.where(is_live[row], np.maximum(known_ms, taken_ms), known_ms)
        order = np.lexsort((known_ms, row))
        is_fraud = found.column("is_fraud").to_numpy()[order].astype(np.int8)
        counts = np.bincount(row, minlength=len(hashes))
        ends = counts.cumsum()
        verdict = np.full(len(hashes), NO_VERDICT, np.int8)
        verdict[counts > 0] = is_fraud[ends[counts > 0] - 1]
        cells = pa.StructArray.from_arrays(
            [pa.array(known_ms[order]).cast(pa.timestamp("ms", tz="UTC")), pa.array(is_fraud)],
            fields=list(KNOWN_LABELS.value_type),
        )
        offsets = pa.array(np.concatenate(([0], ends)), pa.int32())
        return Told(verdict, pa.ListArray.from_arrays(offsets, cells, type=KNOWN_LABELS), len(row))


def _hashes(ids: pa.ChunkedArray) -> Hashes:
    return pd.util.hash_array(ids.to_numpy(), categorize=False)
