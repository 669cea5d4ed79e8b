"""The history: the Parquet columns that every offline step reads and writes.

A history is a folder of Parquet files partitioned by day (``day=2018-04-01/part-0.parquet``). Its rows are in
order of arrival: by ``arrival`` where the column is present and not null, else by event time.
"""

from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.transaction import NO_PLACE, Int64s, TransactionBatch

KNOWN_LABELS: Final = pa.list_(
    pa.struct(
        [
            pa.field("known_at", pa.timestamp("ms", tz="UTC"), nullable=False),
            pa.field("is_fraud", pa.int8(), nullable=False),
        ]
    )
)

HISTORY_SCHEMA: Final = pa.schema(
    [
        pa.field("transaction_id", pa.string(), nullable=False),
        pa.field("event_time", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("customer_id", pa.string(), nullable=False),
        pa.field("merchant_id", pa.string()),
        pa.field("device_id", pa.string()),
        pa.field("amount_minor", pa.int64(), nullable=False),
        pa.field("currency", pa.string()),
        pa.field("merchant_category", pa.string()),
        pa.field("transaction_type", pa.string()),
        pa.field("geo_location", pa.string()),
        pa.field("lat", pa.float64()),
        pa.field("long", pa.float64()),
        pa.field("is_fraud", pa.int8()),
        pa.field("fraud_pattern", pa.string()),
        pa.field("arrival", pa.int64()),
        pa.field("known_labels", KNOWN_LABELS),
    ]
)
"""``is_fraud`` null: no label. ``fraud_pattern``: known for simulated data alone, never a feature.
``arrival``: sequence number in which rows reached the scorer; null throughout: they came in event-time order.
``known_labels``: every verdict with the time at which it became known (docs/adr/0010-labels.md). Null: not
recorded, so ``is_fraud`` counts as known ``LABEL_DELAY_MS`` after the event; empty: no label ever came.
``is_fraud`` is the truth that a model is judged by; it learns the verdicts that stood as the test began."""

ADDED_LATER: Final = frozenset({"known_labels"})
"""Columns that a history written by an earlier release lacks; they read as null."""


def history_to_batch(table: pa.Table) -> TransactionBatch:
    """Return the rows of a history table as a batch, in the table's order."""

    def words(name: str) -> list[str | None]:
        column: list[str | None] = table.column(name).to_pylist()
        return column

    return TransactionBatch(
        transaction_id=table.column("transaction_id").to_pylist(),
        event_time_ms=table.column("event_time").cast(pa.int64()).to_numpy(),
        amount_minor=table.column("amount_minor").to_numpy(),
        customer_id=table.column("customer_id").to_pylist(),
        merchant_id=words("merchant_id"),
        device_id=words("device_id"),
        lat_udeg=coordinates_udeg(table, "lat").astype(np.int32),
        long_udeg=coordinates_udeg(table, "long").astype(np.int32),
        currency=words("currency"),
        merchant_category=words("merchant_category"),
        transaction_type=words("transaction_type"),
        geo_location=words("geo_location"),
    )


def coordinates_udeg(history: pa.Table, name: str) -> Int64s:
    """Return a coordinate column in integer micro-degrees (n,) int64, ``NO_PLACE`` where it is null."""
    degrees = pc.fill_null(history.column(name), np.nan).to_numpy()
    known = ~np.isnan(degrees)
    udeg = np.full(len(degrees), NO_PLACE, np.int64)
    udeg[known] = np.rint(degrees[known] * 1e6)
    return udeg
