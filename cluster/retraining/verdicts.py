"""The archived labels, ready to be put beside the payments that they are about."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from deployments.ledger.archive import Archive
from features.history import HISTORY_SCHEMA, KNOWN_LABELS
from features.transaction import Int64s
from training.history_files import DAY_MS

_COLUMNS = ["transaction_id", "event_time_ms", "known_ms", "is_fraud"]


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """All archived labels, in memory: some 50 bytes each.

    Attributes:
        rows: transaction_id, event_time_ms of the payment, known_ms, is_fraud; by the UTC day of the payment,
            those of one id in the order in which they were taken.
        day: (n,) number of that day since the epoch.
    """

    rows: pa.Table
    day: Int64s

    @classmethod
    def of(cls, labels: Archive) -> Self:
        """Return what an archive of labels holds."""
        tables = [table.select(_COLUMNS) for day in labels.days() for table in labels.tables(day)]
        rows = pa.concat_tables([labels.kind.schema.empty_table().select(_COLUMNS), *tables]).combine_chunks()
        day = rows.column("event_time_ms").to_numpy() // DAY_MS
        order = np.argsort(day, kind="stable")
        return cls(rows.take(pa.array(order)), day[order])

    def beside(self, payments: pa.Table, day: int, settled: npt.NDArray[np.bool_]) -> tuple[pa.Table, int]:
        """Return the payments of a day with ``is_fraud`` and ``known_labels``, and how many labels are of others.

        A label belongs to the payment of its id and of the day of its timestamp. The last verdict known stands; of
        those known at the same moment the one that was taken last.

        Args:
            payments: n rows with a transaction_id, each once.
            settled: (n,) payments that are genuine where there is no verdict. Others stay without a label.
        """
        start, end = np.searchsorted(self.day, [day, day + 1])
        found = self.rows.slice(start, end - start)
        ids = payments.column("transaction_id").combine_chunks()
        place = pc.index_in(found.column("transaction_id"), value_set=ids)
        theirs = found.filter(place.is_valid())
        row = place.drop_null().to_numpy().astype(np.int64)
        known_ms: Int64s = theirs.column("known_ms").to_numpy()
        order = np.lexsort((known_ms, row))
        verdict = theirs.column("is_fraud").to_numpy()[order].astype(np.int8)
        counts = np.bincount(row, minlength=len(ids))
        ends = counts.cumsum()
        standing = np.zeros(len(ids), np.int8)
        standing[counts > 0] = verdict[ends[counts > 0] - 1]
        verdicts = pa.StructArray.from_arrays(
            [pa.array(known_ms[order]).cast(pa.timestamp("ms", tz="UTC")), pa.array(verdict)],
            fields=list(KNOWN_LABELS.value_type),
        )
        offsets = pa.array(np.concatenate(([0], ends)), pa.int32())
        labels: dict[str, Any] = {
            "is_fraud": pa.array(standing, mask=(counts == 0) & ~settled),
            "known_labels": pa.ListArray.from_arrays(offsets, verdicts, type=KNOWN_LABELS),
        }
        for name, column in labels.items():
            payments = payments.append_column(HISTORY_SCHEMA.field(name), column)
        return payments, len(found) - len(row)
