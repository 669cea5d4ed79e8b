"""CSV files, as others write them: their columns, their rows in batches, and what in them is no row."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pacsv  # type: ignore[import-untyped]

from features.errors import InvalidHistory
from features.transaction import Int64s
from training.ingestion.csv_lines import BLOCK_BYTES, CsvLines
from training.ingestion.mapping import CsvFormat

_SUFFIXES: Final = (".csv", ".csv.gz")
_BEGIN_CHARS: Final = 1 << 20
MAX_MALFORMED: Final = 1_000_000
"""Lines that may be no rows one after the other: they are held until a block with a row follows."""
_REPLACEMENT: Final = "\ufffd"
"""What the error handler ``replace`` makes of bytes that are not of the encoding."""


@dataclass(frozen=True, slots=True)
class MalformedLine:
    """A line of a CSV file that is no row: its row number, its text, and what is wrong."""

    row: int
    text: str
    reason: str


RowsOfFile = tuple[Int64s, dict[str, pa.Array], list[MalformedLine]]
"""Positions, cells and malformed lines of some rows of a file."""


def is_csv(path: Path) -> bool:
    """Return whether a file is CSV, by its name."""
    return path.name.lower().endswith(_SUFFIXES)


def csv_columns(path: Path, csv: CsvFormat) -> list[str]:
    """Return the names of the columns.

    Raises:
        OSError, UnicodeError, LookupError, pa.ArrowException: the file cannot be read so far.
    """
    return list(csv_begin(path, csv).schema.names)


def csv_begin(path: Path, csv: CsvFormat) -> pa.Table:
    """Return the first rows, as many as a MiB holds, under types that they suggest; without malformed ones.

    Raises:
        OSError, UnicodeError, LookupError, pa.ArrowException: the file cannot be read so far.
    """
    # Not the file itself: a reader of it that is closed early leaves a thread behind, which aborts a process that
    # ends just then, as it wants to call our handler of malformed lines.
    with pa.input_stream(path) as file:
        text = io.TextIOWrapper(file, encoding=csv.encoding, errors="replace", newline="").read(_BEGIN_CHARS)
    if len(text) == _BEGIN_CHARS:
        text = text[: text.rfind("\n") + 1] or text
    parse = _parse_options(csv, lambda _: "skip")
    table = pacsv.read_csv(pa.BufferReader(f"{text}\n".encode()), parse_options=parse)
    if any(_REPLACEMENT in name for name in table.schema.names):
        raise UnicodeError(f"its header is not {csv.encoding}; set csv.encoding in the mapping")
    return table


def csv_batches(path: Path, columns: Sequence[str], csv: CsvFormat) -> Iterator[RowsOfFile]:
    """Yield the rows in order, with the cells of those of the columns that there are, as text.

    Raises:
        InvalidHistory: a line is too long, or a quoted cell is open where the file ends.
        OSError, UnicodeError, LookupError, pa.ArrowException: the file cannot be read on.
    """
    malformed: list[MalformedLine] = []
    names = csv_columns(path, csv)
    columns = [column for column in columns if column in names]
    nothing = {column: pa.array([], pa.string()) for column in columns}
    first = 1
    with (
        _not_all(path, malformed),
        CsvLines(path, csv, len(names)) as lines,
        _reader(lines, columns, csv, malformed) as reader,
    ):
        for batch in reader:
            row, until = _positions(first, len(batch), malformed)
            yield row, {c: batch.column(c) for c in columns}, [m for m in malformed if m.row < until]
            # The reader may have looked ahead: what it found there belongs to the next batch.
            malformed[:] = [line for line in malformed if line.row >= until]
            first = until
        if lines.marked:
            raise InvalidHistory(f"{path} cannot be read: row {first - 1:,} has a quoted cell that does not end")
    if malformed:
        yield np.arange(0), nothing, malformed


@contextmanager
def _not_all(path: Path, malformed: list[MalformedLine]) -> Iterator[None]:
    """Say why a file is not read on that seems to be another than the mapping says."""
    try:
        yield
    except pa.ArrowInvalid as error:
        if len(malformed) < MAX_MALFORMED:
            raise
        why = malformed[-1].reason
        said = f"more than {MAX_MALFORMED:,} lines on end are no rows; the last {why}"
        raise InvalidHistory(f"{path} cannot be read: {said}") from error


def what_is_wrong(error: Exception) -> str:
    """Return what a library says of a file that it cannot read, and what may help."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if "codec can't" in text:
        return f"{text}; set csv.encoding in the mapping"
    return text


def _positions(first: int, n: int, malformed: list[MalformedLine]) -> tuple[Int64s, int]:
    """Return the positions of n good rows from ``first`` on, which leap malformed lines, and the one after."""
    bad = [line.row for line in malformed]
    row = np.setdiff1d(np.arange(first, first + n + len(bad)), bad)[:n]
    return row, int(row[-1]) + 1 if n else first


def _reader(lines: CsvLines, columns: list[str], csv: CsvFormat, malformed: list[MalformedLine]) -> Any:
    def set_aside(line: Any) -> str:
        if line.text == lines.mark and lines.marked:
            marked = lines.marked.popleft()
            text, reason = marked.text, marked.reason
        else:
            text = line.text
            reason = f"has {line.actual_columns} cells where the header has {line.expected_columns}"
        if len(malformed) >= MAX_MALFORMED:
            return "error"
        if reason:
            # The reader counts the header as line 1.
            malformed.append(MalformedLine(line.number - 1, text, reason))
        return "skip"

    return pacsv.open_csv(
        # Buffered: a block is then as long as it may be, wherever lines end.
        pa.PythonFile(io.BufferedReader(lines), mode="r"),
        # One thread: only then does the reader number the lines that it skips.
        read_options=pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
        parse_options=_parse_options(csv, set_aside),
        convert_options=pacsv.ConvertOptions(
            # As text: an id such as 007 stays what it is, and one bad cell spoils only its own row.
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=columns,
            null_values=list(csv.null_values),
            strings_can_be_null=True,
        ),
    )


def _parse_options(csv: CsvFormat, set_aside: Callable[[Any], str]) -> Any:
    return pacsv.ParseOptions(delimiter=csv.delimiter, newlines_in_values=True, invalid_row_handler=set_aside)
