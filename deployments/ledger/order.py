"""The order in which rows of the archive were logged: its files have them by transaction_id."""

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from deployments.ledger.entry_id import EntryId


def in_order(table: pa.Table) -> pa.Table:
    """Return the rows of a file in the order of the log; files of earlier releases do not say that in an entry."""
    entries = table.column("entry").combine_chunks().dictionary_encode()
    ids = [EntryId.parse(text) for text in entries.dictionary.to_pylist()]
    rank = np.empty(len(ids), np.int64)
    rank[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    row = pc.fill_null(table.column("row"), 0).to_numpy()
    return table.take(pa.array(np.lexsort((row, rank[entries.indices.to_numpy()]))))
