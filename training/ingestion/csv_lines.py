"""The lines of a CSV file, of which each that cannot be a row is marked, so that it takes no other with it."""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]

from features.errors import InvalidHistory
from training.ingestion.mapping import CsvFormat

BLOCK_BYTES: Final = 8 << 20
"""What is read at a time, and the longest line."""
SUBSTITUTE: Final = "\x1a"
"""Begins a mark; ASCII's own sign for what could not be read."""
_UNREADABLE: Final = "\udc80-\udcff"
"""What the error handler ``surrogateescape`` makes of bytes that are not of the encoding."""
_LINES: Final = (
    # One with such a byte; one whose last quoted cell does not end on it: whole cells, each with the delimiter
    # after it, a quote, and no other before the line ends; or one that is well. No part gives back what it took,
    # so that no line takes long.
    "([^{bad}\r\n]*+[{bad}][^\r\n]*+)"
    '|((?:(?:"(?:[^"\r\n]|"")*+"[^{d}\r\n]*+|(?!")[^{d}\r\n]*+){d})*+"(?:[^"\r\n]|"")*+)(?=[\r\n]|$)'
    "|[^\r\n]*+[\r\n]*+"
)


@dataclass(frozen=True, slots=True)
class Marked:
    """A line that is no row: its text, and why."""

    text: str
    reason: str


class CsvLines(io.RawIOBase):
    """A CSV file as UTF-8, with a mark in place of each line that cannot be a row.

    A mark has more cells than the header. So a reader that tells of rows with a wrong number of cells tells of
    these lines, too, and of where they are. Where cells may hold line ends, a mark after the last line tells
    whether it was read as a line: if not, it was taken for a part of a cell that does not end.

    Args:
        path: of the file; ``.gz`` is read as what it holds.
        csv: how it is written.
        cells: how many its header has.

    Attributes:
        mark: the text of a mark.
        marked: the lines that marks stand for, in order; whoever meets a mark takes the first.

    Raises:
        InvalidHistory: by reading: a line is longer than ``BLOCK_BYTES``.
        UnicodeDecodeError: by reading: a byte is not of the encoding, where cells may hold line ends.
        LookupError: there is no such encoding.
    """

    def __init__(self, path: Path, csv: CsvFormat, cells: int) -> None:
        super().__init__()
        self.mark = SUBSTITUTE + csv.delimiter * cells
        self.marked: deque[Marked] = deque()
        self._path, self._csv = path, csv
        self._each_line = re.compile(_LINES.format(bad=_UNREADABLE, d=re.escape(csv.delimiter)))
        self._file = pa.input_stream(path)
        errors = "strict" if csv.line_ends_in_cells else "surrogateescape"
        self._decoder = codecs.getincrementaldecoder(csv.encoding)(errors)
        self._blocks = self._encoded()
        self._block = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer; return how many bytes there were, 0 at the end."""
        while not self._block:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._block = memoryview(block)
        n = min(len(buffer), len(self._block))
        buffer[:n] = self._block[:n]
        self._block = self._block[n:]
        return n

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._file.close()
        super().close()

    def _encoded(self) -> Iterator[bytes]:
        if not self._csv.line_ends_in_cells:
            yield from (self._checked(lines) for lines in self._lines())
            return
        while block := self._file.read(BLOCK_BYTES):
            yield self._decoder.decode(block).encode()
        self.marked.append(Marked("", ""))
        yield f"{self._decoder.decode(b'', final=True)}\n{self.mark}\n".encode()

    def _lines(self) -> Iterator[str]:
        """Yield the text of the file, cut where a line ends."""
        rest = ""
        while block := self._file.read(BLOCK_BYTES):
            text = rest + self._decoder.decode(block)
            end = max(text.rfind("\n"), text.rfind("\r")) + 1
            yield text[:end]
            rest = text[end:]
            if len(rest) > BLOCK_BYTES:
                raise InvalidHistory(f"{self._path} cannot be read: a line is longer than {BLOCK_BYTES >> 20} MiB")
        # The reader takes a header without a line end for nothing; an empty line is none.
        yield f"{rest}{self._decoder.decode(b'', final=True)}\n"

    def _checked(self, lines: str) -> bytes:
        """Return lines with a mark for each that is no row."""
        try:
            encoded = lines.encode()
        except UnicodeEncodeError:
            pass
        else:
            if '"' not in lines:
                return encoded
        return "".join(self._marked(line) for line in self._each_line.finditer(lines)).encode()

    def _marked(self, line: re.Match[str]) -> str:
        """Return a line as it is, or a mark in place of one that is no row."""
        unreadable, unclosed = line.groups()
        if unreadable is not None:
            text = unreadable.encode(self._csv.encoding, "surrogateescape")
            reason = f"holds bytes that are not {self._csv.encoding}; csv.encoding of the mapping says what it is"
            self.marked.append(Marked(text.decode(self._csv.encoding, "backslashreplace"), reason))
        elif unclosed is not None:
            reason = (
                "holds a quoted cell that does not end on it; csv.line_ends_in_cells of the mapping allows that"
            )
            self.marked.append(Marked(unclosed, reason))
        else:
            return line.group()
        return self.mark
