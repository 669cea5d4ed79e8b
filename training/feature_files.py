"""Feature files: rows with all their features on disk, which no process ever holds whole.

A file is Arrow IPC, written by one task, its rows in order of event time. A table is a list of ranges of rows in
such files: small enough to be handed to any worker, which reads from it what it needs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.known_labels import KNOWN_LABELS, verdict_changes
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
    """Rows of feature files, one range after the other.

    Attributes:
        as_of_ms: the moment whose verdicts are read as ``is_fraud``; None: those of the history, its truth.
    """

    ranges: tuple[FeatureRange, ...]
    as_of_ms: int | None = None

    def __len__(self) -> int:
        return sum(len(part) for part in self.ranges)

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the rows in order, in blocks of up to ``BLOCK_ROWS``, none of them empty.

        The bytes are read, not mapped: what a process holds is one block, and the file is in the system's cache.

        Args:
            columns: the ones that are read from disk; None: all.
        """
        for part in self.ranges:
            yield from self._blocks(part, columns)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return one column of all rows."""
        return pa.concat_tables(self.blocks([name])).column(name)

    @property
    def frauds(self) -> int:
        """How many rows are a fraud, as ``is_fraud`` is read."""
        return int(pc.sum(self.column(LABEL)).as_py() or 0)

    def within(self, period: Period) -> "FeatureTable":
        """Return the rows of a period."""
        ranges = tuple(kept for part in self.ranges if len(kept := _within(part, period)))
        return replace(self, ranges=ranges)

    def known_by(self, moment: datetime) -> "FeatureTable":
        """Return the same rows with the verdicts that stood at a moment; the files must hold ``VERDICTS``."""
        return replace(self, as_of_ms=milliseconds(moment))

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
        return replace(self, ranges=tuple(ranges))

    def chosen(self, rows: Int64s, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield chosen rows (ascending indices), a block at a time."""
        first = 0
        for part in self.ranges:
            begin, end = np.searchsorted(rows, [first, first + len(part)])
            if begin < end:
                start = first
                for block in self._blocks(part, columns):
                    begin, end = np.searchsorted(rows, [start, start + len(block)])
                    if begin < end:
                        yield block.take(pa.array(rows[begin:end] - start))
                    start += len(block)
            first += len(part)

    def _blocks(self, part: FeatureRange, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        if self.as_of_ms is None or (columns is not None and LABEL not in columns):
            yield from _blocks(part, columns)
            return
        read = None if columns is None else list(dict.fromkeys([*columns, *VERDICTS]))
        for block in _blocks(part, read):
            verdicts = pa.array(verdict_changes(block).standing(len(block), self.as_of_ms), pa.int8())
            learned = block.set_column(block.column_names.index(LABEL), LABEL, verdicts)
            yield learned if columns is None else learned.select(columns)


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
