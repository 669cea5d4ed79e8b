"""The foreign tables: CSV or Parquet files, one or a folder of them, read in batches of bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from features.errors import InvalidHistory
from features.transaction import Int64s
from training.ingestion.csv_files import (
    MalformedLine,
    RowsOfFile,
    csv_batches,
    csv_begin,
    csv_columns,
    is_csv,
    what_is_wrong,
)
from training.ingestion.mapping import ColumnMapping, CsvFormat

BATCH_ROWS: Final = 131_072
_PARQUET: Final = (".parquet", ".pq")
PLAIN_CSV: Final = CsvFormat()


@dataclass(frozen=True, slots=True, eq=False)
class SourceBatch:
    """n rows of a source file.

    Attributes:
        file: the file, relative to the source folder; file_number: its place among the files, from 1.
        row: (n,) position in the file, 1 for its first row (a CSV file's header and empty lines do not count).
        columns: source column -> its n cells. An absent column is not here.
        malformed: lines among these rows that are no rows.
    """

    file: str
    file_number: int
    row: Int64s
    columns: dict[str, pa.Array]
    malformed: list[MalformedLine] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The files of a source and the columns to read of them. Opened by :func:`open_source`.

    Attributes:
        absent: columns that a file lacks and may lack.
        total_rows: how many rows there are, None where only reading tells (CSV).
    """

    files: tuple[tuple[str, Path], ...]
    mapping: ColumnMapping
    absent: tuple[str, ...]
    total_rows: int | None

    def batches(self) -> Iterator[SourceBatch]:
        """Yield all rows in order, file by file.

        Raises:
            InvalidHistory: a file cannot be read on; names it.
        """
        for number, (name, path) in enumerate(self.files, start=1):
            for row, cells, malformed in rows_of_file(path, self.mapping.source_columns, self.mapping.csv):
                yield SourceBatch(name, number, row, cells, malformed)


def open_source(path: Path, mapping: ColumnMapping) -> Source:
    """Return the source at ``path``, a file or a folder, after a look at each file's columns.

    Raises:
        InvalidHistory: there is nothing to read, a file cannot be read, or lacks a mapped column; names both.
    """
    files = _files(path)
    optional = {mapping.columns[name] for name in mapping.may_be_absent if name in mapping.columns}
    absent: dict[str, None] = {}
    total_rows: int | None = 0
    for _, file in files:
        names, rows = _look(file, mapping)
        total_rows = None if rows is None or total_rows is None else total_rows + rows
        for column in mapping.source_columns:
            if names.count(column) > 1:
                raise InvalidHistory(f"{file} has the column {column} more than once")
            if column not in names and column not in optional:
                have = ", ".join(names[:20])
                raise InvalidHistory(f"{file} lacks the column {column} of the mapping; it has {have}")
            if column not in names:
                absent[column] = None
    return Source(files, mapping, tuple(absent), total_rows)


def rows_of_file(path: Path, columns: Sequence[str], csv: CsvFormat = PLAIN_CSV) -> Iterator[RowsOfFile]:
    """Yield the rows of a CSV or Parquet file in order, in batches of bounded size.

    Args:
        columns: those to read; one that the file lacks is left out. Cells of a CSV file are text.
        csv: how a CSV file is written.

    Raises:
        InvalidHistory: the file cannot be read on; names it.
    """
    try:
        yield from csv_batches(path, columns, csv) if is_csv(path) else _parquet_batches(path, columns)
    except (pa.ArrowException, OSError, UnicodeError, LookupError) as error:
        raise InvalidHistory(f"{path} cannot be read: {what_is_wrong(error)}") from error


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of a CSV or Parquet file, in its order.

    Raises:
        InvalidHistory: it cannot be read; names it.
    """
    return tuple(_head(path).schema.names)


def first_cell(path: Path, column: str) -> Any:
    """Return what the first row of a file holds in a column, as text where the file is CSV; None without rows.

    Raises:
        InvalidHistory: it cannot be read; names it.
    """
    head = _head(path)
    return head.column(column)[0].as_py() if len(head) else None


def _head(path: Path) -> pa.Table:
    """Return the first rows of a file, or none of them, under its columns."""
    try:
        if is_csv(path):
            return csv_begin(path, PLAIN_CSV)
        if _is_parquet(path):
            with pq.ParquetFile(path) as file:
                first = next(file.iter_batches(batch_size=1), None)
                return pa.Table.from_batches([] if first is None else [first], file.schema_arrow)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise InvalidHistory(f"{path} cannot be read: {what_is_wrong(error)}") from error
    raise InvalidHistory(f"{path} is neither .csv, .csv.gz nor .parquet")


def _files(path: Path) -> tuple[tuple[str, Path], ...]:
    if path.is_file():
        if not (is_csv(path) or _is_parquet(path)):
            raise InvalidHistory(f"{path} is neither .csv, .csv.gz nor .parquet")
        return ((path.name, path),)
    if not path.is_dir():
        raise InvalidHistory(f"{path} does not exist")
    found = []
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        hidden = any(part.startswith(("_", ".")) for part in inside.parts)
        if file.is_file() and not hidden and (is_csv(file) or _is_parquet(file)):
            found.append((inside.as_posix(), file))
    if not found:
        raise InvalidHistory(f"{path} holds no .csv, .csv.gz or .parquet file")
    return tuple(found)


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(_PARQUET)


def _look(path: Path, mapping: ColumnMapping) -> tuple[list[str], int | None]:
    """Return the names of the columns and the number of rows (None for CSV)."""
    try:
        if is_csv(path):
            return csv_columns(path, mapping.csv), None
        with pq.ParquetFile(path) as file:
            return list(file.schema_arrow.names), int(file.metadata.num_rows)
    except (pa.ArrowException, OSError, UnicodeError, LookupError) as error:
        raise InvalidHistory(f"{path} cannot be read: {what_is_wrong(error)}") from error


def _parquet_batches(path: Path, columns: Sequence[str]) -> Iterator[RowsOfFile]:
    with pq.ParquetFile(path) as file:
        columns = [column for column in columns if column in file.schema_arrow.names]
        first = 1
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            yield np.arange(first, first + len(batch)), {c: batch.column(c) for c in columns}, []
            first += len(batch)
