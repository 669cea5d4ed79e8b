"""Payments of amount 0 that ingestion set aside, read back for baselines that were published with them.

The contract at the door admits no payment of 0, so a history holds none, and the product is neither trained nor
judged on them. The handbook's data has 32, of which 4 lie in the weeks of its chapter 3; without them its sizes
and its windows would differ by these rows.
"""

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from features.errors import InvalidHistory
from features.history import HISTORY_SCHEMA
from training.history_files import REJECTED, read_days
from training.ingestion.checks import to_history
from training.ingestion.mapping import ColumnMapping
from training.ingestion.sources import SourceBatch

_LATEST_MS: Final = 4_102_444_800_000
"""2100-01-01: these rows passed the check of their dates when they were ingested."""


def with_payments_of_nothing(history: Path, mapping: ColumnMapping) -> pa.Table:
    """Return all rows of a history, and those set aside for an amount of 0, sorted by event time.

    Args:
        history: a history folder.
        mapping: with which it was ingested.

    Raises:
        InvalidHistory: the history cannot be read, or its rejected rows were not ingested with this mapping.
    """
    table = pa.concat_tables([read_days(history), _payments_of_nothing(history, mapping)])
    return table.take(pc.sort_indices(table, sort_keys=[("event_time", "ascending")]))


def _payments_of_nothing(history: Path, mapping: ColumnMapping) -> pa.Table:
    file = history / REJECTED / "part-0.parquet"
    if not file.is_file():
        return HISTORY_SCHEMA.empty_table()
    rejected = pq.read_table(file, partitioning=None)
    zero = [_is_zero(*cells) for cells in zip(*(rejected[c].to_pylist() for c in ("field", "value")), strict=True)]
    rows = rejected.filter(pa.array(zero, pa.bool_()))
    original = rows.column("original").combine_chunks()
    cells = dict(zip((field.name for field in original.type), original.flatten(), strict=True))
    amount = mapping.columns["amount"]
    if amount not in cells:
        raise InvalidHistory(f"{file} was not ingested with this mapping: it has no column {amount}")
    # Read by the very code that refused them, with an amount that it admits, which is then taken away again.
    cells[amount] = pa.array(["1"] * len(rows), pa.string())
    batch = SourceBatch("", 1, np.arange(1, len(rows) + 1), cells)
    table, _ = to_history(batch, mapping, _LATEST_MS)
    position = table.schema.get_field_index("amount_minor")
    return table.set_column(position, table.schema.field(position), pa.array(np.zeros(len(table), np.int64)))


def _is_zero(field: str, value: str | None) -> bool:
    if field != "amount" or value is None:
        return False
    try:
        return float(value) == 0
    except ValueError:
        return False
