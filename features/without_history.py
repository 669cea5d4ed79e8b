"""The columns of transactions of which no history is known: what is decided by while the store does not answer."""

import numpy as np

from features.definitions import AGGREGATE_COLUMNS, NO_TIME
from features.online import own_columns
from features.transaction import Int64s, TransactionBatch


def without_history(batch: TransactionBatch) -> dict[str, Int64s]:
    """Return the columns of a batch as if no entity in it had any history, each (n,) int64."""
    columns = own_columns(batch)
    for name in AGGREGATE_COLUMNS:
        columns[name] = np.full(len(batch), NO_TIME if name.endswith("_time_ms") else 0, np.int64)
    return columns
