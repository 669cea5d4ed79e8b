"""The fraud labels of a history, in the order in which they become known."""

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.definitions import LABEL_DELAY_MS
from features.known_labels import is_recorded, label_changes
from features.label import LABELS_A_CALL, LabelBatch, LabelOutcome
from features.online import OnlineStore
from features.transaction import Int64s

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class FraudLabels:
    """m labels at merchants that make their transactions a fraud, or no longer one, by time of knowing.

    Attributes:
        row: (m,) the labelled row of the table that they were taken from.
        event_time_ms: (m,) of the labelled transactions.
        known_ms: (m,) when each label becomes known.
        is_fraud: (m,) the verdicts.
        is_recorded: (m,) whether the history says when; where it does not, the label delay does.
        merchant_id, transaction_id: m ids.
    """

    row: Int64s
    event_time_ms: Int64s
    known_ms: Int64s
    is_fraud: Bools
    is_recorded: Bools
    merchant_id: list[str | None]
    transaction_id: list[str]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Return the labels of a history table. Without a merchant a label counts nowhere, and is left out."""
        time: Int64s = table.column("event_time").cast(pa.int64()).to_numpy()
        has_merchant = table.column("merchant_id").is_valid().to_numpy()
        is_fraud = pc.fill_null(pc.equal(table.column("is_fraud"), 1), False).to_numpy()
        delayed = np.flatnonzero(is_fraud & has_merchant & ~is_recorded(table))
        changes = label_changes(table)
        changed = has_merchant[changes.row]
        rows = np.concatenate([delayed, changes.row[changed]])
        known_ms = np.concatenate([time[delayed] + LABEL_DELAY_MS, changes.known_ms[changed]])
        verdict = np.concatenate([np.ones(len(delayed), np.int64), changes.change[changed]]) > 0
        labelled = table.select(["merchant_id", "transaction_id"]).take(rows)
        whole = cls(
            rows,
            time[rows],
            known_ms,
            verdict,
            np.arange(len(rows)) >= len(delayed),
            labelled.column("merchant_id").to_pylist(),
            labelled.column("transaction_id").to_pylist(),
        )
        return whole.take(np.argsort(known_ms, kind="stable"))

    def __len__(self) -> int:
        return len(self.row)

    def take(self, chosen: Int64s | Bools) -> Self:
        """Return the chosen labels: a mask (m,), or indices in the order wanted."""
        index = np.arange(len(self))[chosen]
        columns: dict[str, Any] = {}
        for field in fields(self):
            column = getattr(self, field.name)
            columns[field.name] = column[index] if isinstance(column, np.ndarray) else [column[i] for i in index]
        return type(self)(**columns)

    def apply(self, store: OnlineStore) -> int:
        """Give the labels to the store; return how many changed a verdict that stood there.

        Raises:
            OnlineStoreUnavailable: the store did not answer; applying them again is safe.
        """
        changed = 0
        for at in range(0, len(self), LABELS_A_CALL):
            outcomes = store.take_labels(self.take(np.arange(at, min(at + LABELS_A_CALL, len(self))))._batch())
            changed += sum(outcome in (LabelOutcome.NEW, LabelOutcome.CORRECTED) for outcome in outcomes)
        return changed

    def _batch(self) -> LabelBatch:
        return LabelBatch(self.transaction_id, self.merchant_id, self.event_time_ms, self.known_ms, self.is_fraud)
