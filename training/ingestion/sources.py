"""The foreign tables: CSV or Parquet files, one or a folder of them, read in batches of bounded size."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pacsv  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from features.errors import InvalidHistory
from features.transaction import Int64s
from training.ingestion.mapping import ColumnMapping

BATCH_ROWS: Final = 131_072
_CSV_BLOCK_BYTES: Final = 8 << 20
_BEGIN_CHARS: Final = 1 << 20
_CSV: Final = (".csv", ".csv.gz")
_PARQUET: Final = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class MalformedLine:
    """A line of a CSV file with too few or too many cells: its row number, its text, and what is wrong."""

    row: int
    text: str
    reason: str


_Part = tuple[Int64s, dict[str, pa.Array], list[MalformedLine]]
"""Positions, cells and malformed lines of some rows of a file."""


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
            read = _csv_batches if _is_csv(path) else _parquet_batches
            try:
                for row, cells, malformed in read(path, self.mapping):
                    yield SourceBatch(name, number, row, cells, malformed)
            except (pa.ArrowException, OSError, UnicodeError, LookupError) as error:
                raise InvalidHistory(f"{path} cannot be read: {_told(error)}") from error


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
        if _is_csv(path):
            parse = pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
            return pacsv.read_csv(pa.BufferReader(_begin(path, "utf8")), parse_options=parse)
        if _is_parquet(path):
            with pq.ParquetFile(path) as file:
                first = next(file.iter_batches(batch_size=1), None)
                return pa.Table.from_batches([] if first is None else [first], file.schema_arrow)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise InvalidHistory(f"{path} cannot be read: {_told(error)}") from error
    raise InvalidHistory(f"{path} is neither .csv, .csv.gz nor .parquet")


def _begin(path: Path, encoding: str) -> bytes:
    """Return the first lines of a CSV file, in UTF-8.

    A reader of the whole file that is closed early leaves a thread behind, which aborts a process that ends just
    then, as it wants to call our handler of malformed lines.
    """
    with pa.input_stream(path) as file:
        text = io.TextIOWrapper(file, encoding=encoding, newline="").read(_BEGIN_CHARS)
    if len(text) == _BEGIN_CHARS:
        text = text[: text.rfind("\n") + 1] or text
    return text.encode()


def _csv_names(path: Path, mapping: ColumnMapping) -> list[str]:
    """Return the names of the columns of a CSV file."""
    begin = pa.BufferReader(_begin(path, mapping.csv.encoding))
    with _open_csv(begin, mapping, None, [], encoding="utf8") as reader:
        names = list(reader.schema.names)
        reader.read_all()
    return names


def _files(path: Path) -> tuple[tuple[str, Path], ...]:
    if path.is_file():
        if not (_is_csv(path) or _is_parquet(path)):
            raise InvalidHistory(f"{path} is neither .csv, .csv.gz nor .parquet")
        return ((path.name, path),)
    if not path.is_dir():
        raise InvalidHistory(f"{path} does not exist")
    found = []
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        hidden = any(part.startswith(("_", ".")) for part in inside.parts)
        if file.is_file() and not hidden and (_is_csv(file) or _is_parquet(file)):
            found.append((inside.as_posix(), file))
    if not found:
        raise InvalidHistory(f"{path} holds no .csv, .csv.gz or .parquet file")
    return tuple(found)


def _is_csv(path: Path) -> bool:
    return path.name.lower().endswith(_CSV)


def _is_parquet(path: Path) -> bool:
    return path.name.lower().endswith(_PARQUET)


def _look(path: Path, mapping: ColumnMapping) -> tuple[list[str], int | None]:
    """Return the names of the columns and the number of rows (None for CSV)."""
    try:
        if _is_csv(path):
            return _csv_names(path, mapping), None
        with pq.ParquetFile(path) as file:
            return list(file.schema_arrow.names), int(file.metadata.num_rows)
    except (pa.ArrowException, OSError, UnicodeError, LookupError) as error:
        raise InvalidHistory(f"{path} cannot be read: {_told(error)}") from error


def _parquet_batches(path: Path, mapping: ColumnMapping) -> Iterator[_Part]:
    with pq.ParquetFile(path) as file:
        columns = [column for column in mapping.source_columns if column in file.schema_arrow.names]
        first = 1
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            yield np.arange(first, first + len(batch)), {c: batch.column(c) for c in columns}, []
            first += len(batch)


def _csv_batches(path: Path, mapping: ColumnMapping) -> Iterator[_Part]:
    malformed: list[MalformedLine] = []
    names = _csv_names(path, mapping)
    columns = [column for column in mapping.source_columns if column in names]
    first = 1
    with _open_csv(path, mapping, columns, malformed) as reader:
        for batch in reader:
            row, until = _positions(first, len(batch), malformed)
            yield row, {c: batch.column(c) for c in columns}, [m for m in malformed if m.row < until]
            # The reader may have looked ahead: what it found there belongs to the next batch.
            malformed[:] = [line for line in malformed if line.row >= until]
            first = until
    if malformed:
        yield np.arange(0), {column: pa.array([], pa.string()) for column in columns}, malformed


def _positions(first: int, n: int, malformed: list[MalformedLine]) -> tuple[Int64s, int]:
    """Return the positions of n good rows from ``first`` on, which leap malformed lines, and the one after."""
    bad = [line.row for line in malformed]
    row = np.setdiff1d(np.arange(first, first + n + len(bad)), bad)[:n]
    return row, int(row[-1]) + 1 if n else first


def _open_csv(
    file: Path | pa.NativeFile,
    mapping: ColumnMapping,
    columns: list[str] | None,
    malformed: list[MalformedLine],
    encoding: str | None = None,
) -> Any:
    def set_aside(line: Any) -> str:
        reason = f"has {line.actual_columns} cells where the header has {line.expected_columns}"
        # The reader counts the header as line 1.
        malformed.append(MalformedLine(line.number - 1, line.text, reason))
        return "skip"

    csv = mapping.csv
    return pacsv.open_csv(
        file,
        # One thread: only then does the reader number the lines that it skips.
        read_options=pacsv.ReadOptions(
            use_threads=False, block_size=_CSV_BLOCK_BYTES, encoding=encoding or csv.encoding
        ),
        parse_options=pacsv.ParseOptions(
            delimiter=csv.delimiter, newlines_in_values=True, invalid_row_handler=set_aside
        ),
        convert_options=pacsv.ConvertOptions(
            # As text: an id such as 007 stays what it is, and one bad cell spoils only its own row.
            column_types=dict.fromkeys(mapping.source_columns, pa.string()),
            include_columns=columns,
            null_values=list(csv.null_values),
            strings_can_be_null=True,
        ),
    )


def _told(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "invalid UTF8" in text or "codec can't decode" in text:
        return f"{text}; set csv.encoding in the mapping"
    return text
