"""Feature files: rows with all their features on disk, which no process ever holds whole.

A file is Arrow IPC, written by one task, its rows in order of event time. A table is a list of ranges of rows in
such files: small enough to be handed to any worker, which reads from it what it needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.known_labels import KNOWN_LABELS, UNDECIDED, Verdicts
from features.transaction import Int64s
from training.arrivals import milliseconds
from training.bundle import Period
from training.partition_files import new_file
from training.samples import BLOCK_ROWS

EVENT_TIME: Final = "event_time"
LABEL: Final = "is_fraud"
VERDICTS: Final = (EVENT_TIME, LABEL, KNOWN_LABELS)
"""Columns that say who was known as a fraud, and when."""


@dataclass(frozen=True, slots=True)
class FeatureRange:
    """The rows ``[start, stop)`` of one feature file."""

    path: str
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """Rows of feature files, one range after the other."""

    ranges: tuple[FeatureRange, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.ranges)

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows in order, in blocks of up to ``BLOCK_ROWS``, none of them empty.

        The bytes are read, not mapped: what a process holds is one block, and the file is in the system's cache.

        Args:
            columns: the ones that are read from disk; None: all.
        """
        for part in self.ranges:
            yield from _blocks(part, columns)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one column of all rows."""
        return pa.concat_tables(self.blocks([name])).column(name)

    def within(self, period: Period) -> "FeatureTable":
        """Return the rows of a period."""
        return FeatureTable(tuple(kept for part in self.ranges if len(kept := _within(part, period))))

    def shard(self, rank: int, shards: int) -> "FeatureTable":
        """Return one of so many equal pieces of consecutive rows; the last ``len % shards`` rows are in none."""
        size = len(self) // shards
        return self.between(rank * size, (rank + 1) * size)

    def between(self, start: int, stop: int) -> "FeatureTable":
        """Return the rows ``[start, stop)`` of this table."""
        ranges, first = [], 0
        for part in self.ranges:
            begin, end = max(start - first, 0), min(stop - first, len(part))
            if begin < end:
                ranges.append(FeatureRange(part.path, part.start + begin, part.start + end))
            first += len(part)
        return FeatureTable(tuple(ranges))

    def chosen(self, rows: Int64s, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield chosen rows (ascending indices), a block at a time."""
        first = 0
        for part in self.ranges:
            begin, end = np.searchsorted(rows, [first, first + len(part)])
            if begin < end:
                start = first
                for block in _blocks(part, columns):
                    begin, end = np.searchsorted(rows, [start, start + len(block)])
                    if begin < end:
                        yield block.take(pa.array(rows[begin:end] - start))
                    start += len(block)
            first += len(part)


def write_features(path: Path, rows: pa.Table) -> FeatureTable:
    """Write rows to a new file, in order of event time, and return them; without a row, no file."""
    if not len(rows):
        return FeatureTable(())
    time = rows.column(EVENT_TIME).cast(pa.int64()).to_numpy()
    if np.any(time[1:] < time[:-1]):
        rows = rows.take(pa.array(np.argsort(time, kind="stable")))
    with new_file(path, rows.schema) as file:
        for batch in rows.combine_chunks().to_batches(max_chunksize=BLOCK_ROWS):
            file.write_batch(batch)
    return FeatureTable((FeatureRange(str(path), 0, len(rows)),))


def known_by(table: FeatureTable, moment: datetime, folder: Path) -> FeatureTable:
    """Return the rows as they were known at a moment: labels by the verdicts so far, undecided rows left out.

    Where nothing was known otherwise than it is now, it is the same table; else it is written anew.

    Args:
        table: with ``VERDICTS``.
        folder: for new files, which every node can write; it is made.
    """
    moment_ms = milliseconds(moment)
    tables = []
    for number, part in enumerate(table.ranges):
        one = FeatureTable((part,))
        verdicts = pa.concat_tables(one.blocks(VERDICTS))
        known = Verdicts.of(verdicts).known_by(moment_ms)
        if not np.array_equal(known, verdicts.column(LABEL).to_numpy()):
            folder.mkdir(exist_ok=True)
            rows = pa.concat_tables(one.blocks())
            rows = rows.set_column(rows.column_names.index(LABEL), LABEL, pa.array(known, pa.int8()))
            one = write_features(folder / f"{number}.arrow", rows.filter(pa.array(known != UNDECIDED)))
        tables.append(one)
    return joined(tables)


def count_frauds(table: FeatureTable) -> int:
    """Return how many rows are a fraud."""
    return int(pc.sum(table.column(LABEL)).as_py() or 0)


def joined(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Return the rows of all tables, one after the other."""
    return FeatureTable(tuple(part for table in tables for part in table.ranges))


def _blocks(part: FeatureRange, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    with pa.OSFile(part.path) as source:
        schema = pa.ipc.open_file(source).schema
        wanted = None if columns is None else [schema.get_field_index(name) for name in columns]
        file = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=wanted))
        for number in range(part.start // BLOCK_ROWS, -(-part.stop // BLOCK_ROWS)):
            batch, first = file.get_batch(number), number * BLOCK_ROWS
            begin, end = max(part.start - first, 0), min(part.stop - first, len(batch))
            block = pa.Table.from_batches([batch.slice(begin, end - begin)])
            yield block if columns is None else block.select(columns)


def _within(part: FeatureRange, period: Period) -> FeatureRange:
    time = FeatureTable((part,)).column(EVENT_TIME)
    counts = [
        int(pc.sum(pc.less(time, _moment(bound, time.type))).as_py() or 0)
        for bound in (period.since, period.until)
    ]
    return FeatureRange(part.path, part.start + counts[0], part.start + max(counts))


def _moment(time: datetime, kind: pa.DataType) -> pa.Scalar:
    return pa.scalar(time.astimezone(UTC), pa.timestamp("us", tz="UTC")).cast(kind, safe=False)
