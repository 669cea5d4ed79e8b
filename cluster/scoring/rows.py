"""The rows of a file to score, as the transactions that the service takes; and those that it would refuse."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.admission import FIELDS
from features.errors import InvalidHistory
from features.transaction import Int64s
from training.ingestion.checks import to_history
from training.ingestion.mapping import REQUIRED_FIELDS, ColumnMapping, TimestampFormat
from training.ingestion.sources import Source, SourceBatch, column_names, first_cell, open_source

_OWN: Final = {"event_time": "timestamp"}
"""Fields of a history that the contract of the API calls otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Rejected:
    """A row that the contract refuses, found before it was sent: its number, the field, and the reason."""

    row: int
    field: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows of the file.

    Attributes:
        number: (n,) position of each in the file, 1 for the first.
        transactions: n rows with the columns of the contract at the door.
        rejected: rows among them that are not sent.
    """

    number: Int64s
    transactions: pa.Table
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True, eq=False)
class RowSource:
    """The rows of one file. Opened by :func:`open_rows`.

    Attributes:
        total: how many there are, None where only reading tells (CSV).
        ignored: columns of the file that are not sent.
    """

    source: Source
    has_ids: bool
    total: int | None
    ignored: tuple[str, ...]

    def rows(self, now_ms: int) -> Iterator[Rows]:
        """Yield all rows in order, in bounded memory.

        Raises:
            InvalidHistory: the file cannot be read on.
        """
        # Without ids of its own, a row gets one here: so sending it again counts it once.
        run = os.urandom(8).hex()
        for batch in self.source.batches():
            yield _rows(batch, self.source.mapping, now_ms, None if self.has_ids else run)


def open_rows(path: Path, mapping: ColumnMapping | None) -> RowSource:
    """Return the rows of a CSV or Parquet file.

    Args:
        mapping: which column is which field; None when the columns have the names of the contract.

    Raises:
        InvalidHistory: the file cannot be read, or lacks a column; names it.
    """
    if path.is_dir():
        raise InvalidHistory(f"{path} is a folder; give one CSV or Parquet file")
    names = column_names(path) if mapping is None else ()
    mapping = mapping or _by_name(path, names)
    source = open_source(path, mapping)
    ignored = tuple(name for name in names if name not in mapping.source_columns)
    return RowSource(source, "transaction_id" in mapping.columns, source.total_rows, ignored)


def _by_name(path: Path, names: tuple[str, ...]) -> ColumnMapping:
    """Return the mapping of a file whose columns are called as in the contract."""
    columns = {field: _OWN.get(field, field) for field in (*REQUIRED_FIELDS, *sorted(FIELDS - {"timestamp"}))}
    columns = {field: name for field, name in columns.items() if name in names or field in REQUIRED_FIELDS}
    lacking = [name for name in columns.values() if name not in names]
    if lacking:
        have = ", ".join(names[:20])
        raise InvalidHistory(
            f"{path} lacks the column {lacking[0]}; it has {have}. Name its columns by --mapping."
        )
    timestamp = TimestampFormat(unit="s") if _is_number(first_cell(path, "timestamp")) else TimestampFormat()
    return ColumnMapping.model_validate({"columns": columns, "timestamp": timestamp})


def _is_number(cell: object) -> bool:
    if isinstance(cell, int | float):
        return True
    try:
        float(str(cell))
    except ValueError:
        return False
    return True


def _rows(batch: SourceBatch, mapping: ColumnMapping, now_ms: int, run: str | None) -> Rows:
    history, faults = to_history(batch, mapping, now_ms)
    number = batch.row[faults.code == 0]
    columns = {name: history.column(name) for name in history.schema.names if name in FIELDS}
    columns["timestamp"] = history.column("event_time")
    # Comes back to the same minor units: a float holds any amount to far less than half a cent.
    columns["amount"] = pc.divide(history.column("amount_minor").cast(pa.float64()), 100.0)
    if run is not None:
        columns["transaction_id"] = pc.binary_join_element_wise(f"{run}-", pa.array(number).cast(pa.string()), "")
    rejected = [Rejected(line.row, "row", line.reason) for line in batch.malformed]
    for at in np.flatnonzero(faults.code).tolist():
        field, reason = faults.kinds[faults.code[at] - 1]
        rejected.append(Rejected(int(batch.row[at]), _OWN.get(field, field), reason))
    return Rows(number, pa.table(columns), rejected)
