"""The fraud labels of a history, in the order in which they become known."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.definitions import LABEL_DELAY_MS
from features.online import OnlineStore
from features.transaction import Int64s


@dataclass(frozen=True, slots=True, eq=False)
class FraudLabels:
    """m labels of frauds at merchants, by the time at which they become known.

    Attributes:
        row: (m,) the labelled row of the table that they were taken from.
        event_time_ms: (m,) of the labelled transactions.
        merchant_id, transaction_id: m ids.
    """

    row: Int64s
    event_time_ms: Int64s
    merchant_id: list[str]
    transaction_id: list[str]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """Return the labels of the frauds in a history table. Without a merchant a label counts nowhere."""
        is_fraud = pc.fill_null(pc.equal(table.column("is_fraud"), 1), False)
        rows = np.flatnonzero(pc.and_(is_fraud, pc.is_valid(table.column("merchant_id"))).to_numpy())
        time: Int64s = table.column("event_time").cast(pa.int64()).to_numpy()[rows]
        order = np.argsort(time, kind="stable")
        frauds = table.take(rows[order])
        return cls(
            rows[order],
            time[order],
            frauds.column("merchant_id").to_pylist(),
            frauds.column("transaction_id").to_pylist(),
        )

    def __len__(self) -> int:
        return len(self.row)

    @property
    def known_ms(self) -> Int64s:
        """When each label becomes known, (m,) milliseconds since the epoch."""
        return self.event_time_ms + LABEL_DELAY_MS

    def take(self, chosen: Int64s | npt.NDArray[np.bool_]) -> "FraudLabels":
        """Return the chosen labels: a mask (m,), or indices in the order wanted."""
        index = np.arange(len(self))[chosen]
        return FraudLabels(
            self.row[index],
            self.event_time_ms[index],
            [self.merchant_id[i] for i in index],
            [self.transaction_id[i] for i in index],
        )

    def apply(self, store: OnlineStore) -> int:
        """Count the labels in the store; return how many it did not know yet.

        Raises:
            OnlineStoreUnavailable: the store did not answer; applying them again is safe.
        """
        return store.apply_fraud_labels(self.merchant_id, self.event_time_ms, self.transaction_id)
