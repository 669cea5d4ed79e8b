"""Sorting out of core: rows in any order go to a file a day on disk, and come back a day at a time."""

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import DAY_MS

BUFFERED_ROWS: Final = 1_000_000
"""So many rows are held in memory (about 150 bytes each) before they go to disk."""


class DayBuckets:
    """Rows of one schema with an ``event_time`` column, kept in a folder by UTC day until they are read back.

    The files are Arrow IPC, written in one go and closed: no number of days exhausts the open files of a process.
    """

    def __init__(self, folder: Path, buffered_rows: int = BUFFERED_ROWS) -> None:
        self._folder = folder
        self._buffered_rows = buffered_rows
        self._buffer: list[pa.Table] = []
        self._in_buffer = 0
        self._files: dict[int, list[Path]] = {}

    def add(self, table: pa.Table) -> None:
        """Take rows in; now and then all that is buffered goes to disk."""
        self._buffer.append(table)
        self._in_buffer += len(table)
        if self._in_buffer >= self._buffered_rows:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered to disk; to be called after the last ``add``."""
        if self._in_buffer == 0:
            return
        table = pa.concat_tables(self._buffer).combine_chunks()
        self._buffer, self._in_buffer = [], 0
        day = table.column("event_time").cast(pa.int64()).to_numpy() // DAY_MS
        if np.any(day[1:] < day[:-1]):
            order = np.argsort(day, kind="stable")
            table, day = table.take(pa.array(order)), day[order]
        days, starts = np.unique(day, return_index=True)
        for number, start, end in zip(days, starts, [*starts[1:], len(table)], strict=True):
            self._write(int(number), table.slice(start, end - start))

    def days(self) -> list[int]:
        """Return the days of which there are rows, as numbers since the epoch, in order."""
        return sorted(self._files)

    def read(self, day: int) -> pa.Table:
        """Return all rows of a day, in the order in which they were added."""
        tables = []
        for path in self._files[day]:
            with pa.ipc.open_file(path) as file:
                tables.append(file.read_all())
        return pa.concat_tables(tables)

    def _write(self, day: int, table: pa.Table) -> None:
        files = self._files.setdefault(day, [])
        path = self._folder / str(day) / f"{len(files)}.arrow"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
        files.append(path)
