"""The history on disk: the one way to write a history folder, and the one way to open it.

history/day=2025-01-01/part-0.parquet     rows of one UTC day, sorted by event time
history/_rejected/part-0.parquet          what ingestion set aside; readers skip names with an underscore
history/_writing/                         a run in progress; gone when it ends, well or badly
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from features.definitions import DAY_MS
from features.errors import InvalidHistory
from features.history import ADDED_LATER, HISTORY_SCHEMA

REJECTED: Final = "_rejected"
_WRITING: Final = "_writing"
_DAY: Final = "day="


@dataclass(slots=True)
class HistoryWriter:
    """Writes one history, day by day, into a staging folder that replaces the history at the end.

    Attributes:
        staging: where the run may keep what it writes meanwhile.
        rows, bytes_written: what was written until now.
        days: the days written until now, in the order of writing.
    """

    staging: Path
    rows: int = 0
    bytes_written: int = 0
    days: list[date] = field(default_factory=list)

    def write_day(self, day: date, table: pa.Table) -> None:
        """Write all rows of one UTC day, as ``HISTORY_SCHEMA`` sorted by event time; no rows, no file."""
        if len(table) == 0:
            return
        folder = self.staging / f"{_DAY}{day.isoformat()}"
        folder.mkdir()
        path = folder / "part-0.parquet"
        pq.write_table(table.cast(HISTORY_SCHEMA), path, compression="zstd")
        self.rows += len(table)
        self.bytes_written += path.stat().st_size
        self.days.append(day)


@contextmanager
def writing_history(out: Path, *, overwrite: bool) -> Iterator[HistoryWriter]:
    """Yield the writer of a new history at ``out``; the history appears when the block ends without an error.

    After an error the folder is as it was before, so a failed run never costs the history that it was to replace.

    Raises:
        InvalidHistory: ``out`` is not empty and ``overwrite`` is False, or holds files that are no history, or
            cannot be read.
    """
    _check_out(out, overwrite=overwrite)
    staging = out / _WRITING
    was_there = out.exists()
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield HistoryWriter(staging)
        _put_in_place(staging, out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        if not was_there and not any(out.iterdir()):
            out.rmdir()


def read_history(path: Path) -> ds.Dataset:
    """Return the history at ``path`` as a dataset: the columns of ``HISTORY_SCHEMA`` and ``day`` (YYYY-MM-DD).

    Its fragments are in order of day, so ``to_table`` returns rows sorted by event time. A filter on ``day`` opens
    the files of these days alone. Columns that the schema does not know are left out; those of ``ADDED_LATER``
    that a file lacks are null.

    Raises:
        InvalidHistory: the folder or a day is missing, or a file has another schema; names file and column.
    """
    files = day_files(path)
    for file in files:
        _check_schema(file)
    day = pa.field("day", pa.string())
    return ds.dataset(
        [str(file) for file in files],
        format="parquet",
        schema=HISTORY_SCHEMA.append(day),
        partitioning=ds.partitioning(pa.schema([day]), flavor="hive"),
        partition_base_dir=str(path),
    )


def day_files(path: Path) -> list[Path]:
    """Return the files that hold the rows of the history at ``path``, in order of day.

    Raises:
        InvalidHistory: the folder is missing, or holds no such file.
    """
    if not path.is_dir():
        raise InvalidHistory(f"{path} is not a folder; a history is a folder of day=YYYY-MM-DD partitions")
    files = sorted(file for day in _day_folders(path) for file in day.glob("[!_.]*.parquet"))
    if not files:
        raise InvalidHistory(f"{path} holds no day=YYYY-MM-DD/*.parquet; ingest or simulate a history first")
    return files


def read_days(path: Path, first: date | None = None, last: date | None = None) -> pa.Table:
    """Return the rows of the days first..last, both included, as ``HISTORY_SCHEMA`` sorted by event time.

    Raises:
        InvalidHistory: as :func:`read_history`.
    """
    day = ds.field("day")
    chosen = day >= (first or date.min).isoformat()
    chosen &= day <= (last or date.max).isoformat()
    return read_history(path).to_table(columns=HISTORY_SCHEMA.names, filter=chosen).cast(HISTORY_SCHEMA)


def split_by_day(table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """Yield (day, its rows) of a table sorted by event time, in order; the slices copy nothing."""
    day = table.column("event_time").cast(pa.int64()).to_numpy() // DAY_MS
    days, starts = np.unique(day, return_index=True)
    ends = np.append(starts[1:], len(table))
    for number, start, end in zip(days, starts, ends, strict=True):
        yield day_of(int(number)), table.slice(start, end - start)


def day_of(number: int) -> date:
    """Return the UTC day with the given number since the epoch.

    >>> day_of(0)
    datetime.date(1970, 1, 1)
    """
    return datetime.fromtimestamp(number * 86_400, UTC).date()


def _check_out(out: Path, *, overwrite: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise InvalidHistory(f"{out} is a file; a history is a folder")
    entries = sorted(entry.name for entry in out.iterdir())
    foreign = [name for name in entries if not (name.startswith(_DAY) or name in (REJECTED, _WRITING))]
    if foreign:
        raise InvalidHistory(f"{out} holds {foreign[0]}, which is no part of a history; choose another folder")
    if entries and not overwrite:
        raise InvalidHistory(f"{out} is not empty; choose another folder, or ask to overwrite it")
    # Other folders are partitioned by day, too, such as an archive of decisions.
    for file in sorted(out.glob(f"{_DAY}*/*.parquet"))[:1]:
        _check_schema(file)


def _put_in_place(staging: Path, out: Path) -> None:
    """Replace the history at ``out`` by what is staged; both are on one file system, so this only renames."""
    for old in _parts(out):
        shutil.rmtree(old)
    for new in _parts(staging):
        new.rename(out / new.name)


def _parts(path: Path) -> list[Path]:
    return [*_day_folders(path), *path.glob(REJECTED)]


def _day_folders(path: Path) -> list[Path]:
    return sorted(folder for folder in path.glob(f"{_DAY}*") if folder.is_dir())


def _check_schema(file: Path) -> None:
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise InvalidHistory(f"{file} cannot be read as Parquet: {error}") from error
    advice = "write it with `tollgate ingest --mapping tollgate`"
    for wanted in HISTORY_SCHEMA:
        if wanted.name not in schema.names:
            if wanted.name in ADDED_LATER:
                continue
            raise InvalidHistory(f"{file} lacks the column {wanted.name}; {advice}")
        found = schema.field(wanted.name)
        if found.type != wanted.type:
            raise InvalidHistory(f"{file}: column {wanted.name} is {found.type}, not {wanted.type}; {advice}")
        if found.nullable and not wanted.nullable:
            raise InvalidHistory(f"{file}: column {wanted.name} may hold nulls; {advice}")
