"""Ingest a history: any CSV or Parquet table, by a column mapping, to Parquet partitioned by day.

No row is lost on the way: each is written, or set aside in ``_rejected`` with its row number and the reason.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from rich.progress import Progress

from features.errors import InvalidHistory
from features.transaction import Int64s
from training.history_files import REJECTED, HistoryWriter, day_of, writing_history
from training.ingestion.checks import to_history
from training.ingestion.day_buckets import BUFFERED_ROWS, DayBuckets
from training.ingestion.duplicates import SeenIds, find_duplicates
from training.ingestion.mapping import ColumnMapping
from training.ingestion.rejections import Rejection, Rejections
from training.ingestion.sources import Source, SourceBatch, open_source
from training.progress import progress_bar


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What was ingested: ``rows_in == rows_written + rows_rejected``.

    Attributes:
        source, out: where from and where to.
        rows_in, rows_written, rows_rejected: numbers of rows.
        frauds, unlabelled: how many of the rows written are fraudulent, and how many have no label.
        first_day, last_day, days: the days written; None and 0 if no row was good.
        absent_columns: columns of the mapping that the source lacks and may lack.
        reasons: (field, reason) -> number of rows rejected for it.
        examples: the first few rejections for each reason.
        bytes_written: size of the history's files.
        duration_s: how long it took, in seconds.
    """

    source: Path
    out: Path
    rows_in: int
    rows_written: int
    rows_rejected: int
    frauds: int
    unlabelled: int
    first_day: date | None
    last_day: date | None
    days: int
    absent_columns: tuple[str, ...]
    reasons: dict[tuple[str, str], int]
    examples: tuple[Rejection, ...]
    bytes_written: int
    duration_s: float

    @property
    def rejected_file(self) -> Path:
        """Where the rejected rows are; there is no such file when none was rejected."""
        return self.out / REJECTED / "part-0.parquet"


def ingest(
    source: Path,
    out: Path,
    mapping: ColumnMapping,
    *,
    overwrite: bool = False,
    show_progress: bool = True,
    clock: Callable[[], float] = time.time,
    buffered_rows: int = BUFFERED_ROWS,
) -> IngestReport:
    """Write the table at ``source`` as a history to ``out`` and return what became of its rows.

    Rows may come in any order; each day is written sorted by event time, rows of equal time in their order of
    arrival if it is mapped, else of the source. Of rows with one transaction_id the first good one is kept.

    Args:
        source: a CSV or Parquet file, or a folder of them; names with an underscore or a dot in
            front are skipped.
        out: the history folder to be written.
        mapping: which column is which field; see :func:`training.ingestion.mapping.load_mapping`.
        overwrite: replace a history that is there.
        show_progress: draw a progress bar on stderr.
        clock: returns the time in epoch seconds; dates more than a day ahead of it are refused.
        buffered_rows: how many rows are held in memory before they go to disk. A whole day is held as well.

    Raises:
        InvalidHistory: the source cannot be read, lacks a mapped column or holds another type in it; or ``out`` is
            not empty and ``overwrite`` is False, or holds a history that no row would replace. ``out`` is then as
            it was before.
    """
    began = time.perf_counter()
    opened = open_source(source, mapping)
    now_ms = int(clock() * 1000)
    with writing_history(out, overwrite=overwrite) as writer, progress_bar(show=show_progress) as progress:
        rejections = Rejections(writer.staging / REJECTED, mapping)
        buckets = DayBuckets(writer.staging / "buckets", buffered_rows)
        rows_in, duplicates = _read(opened, buckets, rejections, now_ms, progress)
        _reject_duplicates(opened, duplicates, rejections)
        rejections.close()
        frauds, unlabelled = _write(buckets, duplicates, writer, progress)
        assert rows_in == writer.rows + rejections.rows, "a row was lost, or counted twice"
        if not writer.rows and any(out.glob("day=*")):
            raise InvalidHistory(_nothing_good(source, rejections))
    return IngestReport(
        source=source,
        out=out,
        rows_in=rows_in,
        rows_written=writer.rows,
        rows_rejected=rejections.rows,
        frauds=frauds,
        unlabelled=unlabelled,
        first_day=writer.days[0] if writer.days else None,
        last_day=writer.days[-1] if writer.days else None,
        days=len(writer.days),
        absent_columns=opened.absent,
        reasons=dict(rejections.reasons.most_common()),
        examples=tuple(rejections.examples),
        bytes_written=writer.bytes_written,
        duration_s=time.perf_counter() - began,
    )


def _nothing_good(source: Path, rejections: Rejections) -> str:
    """Return what to say of a source without a good row."""
    reasons = "; ".join(
        f"{count:,} for {field}: {reason}" for (field, reason), count in rejections.reasons.most_common(3)
    )
    rejected = f"all {rejections.rows:,} rows were rejected, {reasons}" if rejections.rows else "it has no rows"
    return f"{source} gives no history in place of the one that is there: {rejected}. Nothing was written."


def _read(
    source: Source, buckets: DayBuckets, rejections: Rejections, now_ms: int, progress: Progress
) -> tuple[int, Int64s]:
    """Put good rows into day buckets and reject the others; return the number of rows and which are duplicates."""
    task = progress.add_task("Reading rows", total=source.total_rows)
    seen = SeenIds()
    rows_in = 0
    for batch, position in _with_positions(source):
        table, faults = to_history(batch, source.mapping, now_ms)
        rejections.add_faulty(batch, faults)
        good = position[faults.code == 0]
        seen.add(table.column("transaction_id"), good)
        buckets.add(table.append_column("position", pa.array(good)))
        rows_in += len(batch.row) + len(batch.malformed)
        progress.update(task, completed=rows_in)
    buckets.flush()
    return rows_in, find_duplicates(seen, buckets)


def _with_positions(source: Source) -> Iterator[tuple[SourceBatch, Int64s]]:
    """Yield each batch with the positions of its rows among all well-formed rows of the source, from 0."""
    first = 0
    for batch in source.batches():
        yield batch, np.arange(first, first + len(batch.row))
        first += len(batch.row)


def _reject_duplicates(source: Source, duplicates: Int64s, rejections: Rejections) -> None:
    """Read the source once more, if there are duplicates, to set them aside as they stand there."""
    if len(duplicates) == 0:
        return
    for batch, position in _with_positions(source):
        rejections.add_duplicates(batch, np.flatnonzero(np.isin(position, duplicates)))


def _write(buckets: DayBuckets, duplicates: Int64s, writer: HistoryWriter, progress: Progress) -> tuple[int, int]:
    """Write the days and return how many rows are fraudulent, and how many have no label."""
    frauds = unlabelled = 0
    for day in progress.track(buckets.days(), description="Writing days"):
        table = buckets.read(day)
        if len(duplicates):
            table = table.filter(pa.array(~np.isin(table.column("position").to_numpy(), duplicates)))
        keys = [(name, "ascending") for name in ("event_time", "arrival", "position")]
        table = table.take(pc.sort_indices(table, sort_keys=keys)).drop_columns("position")
        frauds += pc.sum(table.column("is_fraud")).as_py() or 0
        unlabelled += table.column("is_fraud").null_count
        writer.write_day(day_of(day), table)
    return frauds, unlabelled
