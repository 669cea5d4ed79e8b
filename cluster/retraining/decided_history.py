"""A history of what was decided, with the labels that came: ``tollgate history``.

The archive knows the payments, in the order in which they were logged, and every label that changed a verdict.
What no label says of is decided here: a payment that was approved, and of which nobody complained for long
enough, was genuine. One that was blocked or reviewed has no label without a verdict: it may never have happened,
so that silence says nothing.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from rich.progress import Progress

from cluster.retraining.verdicts import Verdicts
from deployments.decision import Decision
from deployments.ledger.archive import Archive, count_rows
from deployments.ledger.order import in_order
from features.errors import NothingArchived
from features.history import HISTORY_SCHEMA
from features.transaction import NO_PLACE, Int64s
from training.history_files import DAY_MS, HistoryWriter, day_of, writing_history
from training.ingestion.day_buckets import BUFFERED_ROWS, DayBuckets
from training.ingestion.duplicates import SeenIds, find_duplicates
from training.progress import progress_bar

_AS_THEY_ARE: Final = (
    *("transaction_id", "customer_id", "merchant_id", "device_id", "amount_minor"),
    *("currency", "merchant_category", "transaction_type", "geo_location"),
)


@dataclass(frozen=True, slots=True)
class DecidedHistory:
    """What a history of decisions holds: ``rows == frauds + genuine + too_young + stopped``.

    Attributes:
        out: where it is.
        rows, days: of it; first_day, last_day: UTC days of the payments.
        frauds, genuine: by the verdict that stands, or by silence.
        too_young: approved payments that have no verdict yet.
        stopped: blocked or reviewed payments without a verdict.
        repeated: decisions left out, as their id had been decided before.
        strange_labels: labels of these days whose payment is not there.
        duration_s: how long it took, in seconds.
    """

    out: Path
    rows: int
    days: int
    first_day: date
    last_day: date
    frauds: int
    genuine: int
    too_young: int
    stopped: int
    repeated: int
    strange_labels: int
    duration_s: float

    def __rich__(self) -> str:
        """Return the report in sentences."""
        lines = [
            f"{self.rows:,} payments of {self.days:,} days, {self.first_day} to {self.last_day}, in {self.out},"
            f" in {self.duration_s:.1f} s.",
            f"{self.frauds:,} were frauds and {self.genuine:,} genuine. Without a label:"
            f" {self.too_young:,} approved that are too young, {self.stopped:,} blocked or"
            " reviewed without a verdict.",
        ]
        if self.repeated:
            lines.append(f"Left out: {self.repeated:,} decisions on an id that had been decided before.")
        if self.strange_labels:
            lines.append(f"{self.strange_labels:,} labels of these days are of payments that are not there.")
        return "\n".join(lines)


def decided_history(
    archive: Archive,
    out: Path,
    *,
    since: date | None = None,
    until: date | None = None,
    genuine_after_days: int,
    overwrite: bool = False,
    show_progress: bool = True,
    clock: Callable[[], float] = time.time,
    buffered_rows: int = BUFFERED_ROWS,
) -> DecidedHistory:
    """Write the archived payments as a history, in the order in which they were logged.

    Args:
        archive: of decisions; the labels lie in it.
        out: the history folder to be written.
        since, until: first and last UTC day of the decisions; None: all.
        genuine_after_days: days after which an approved payment without a verdict was genuine.
        overwrite: replace a history that is there.
        show_progress: draw a progress bar on stderr.
        clock: the time now, in epoch seconds.
        buffered_rows: how many rows are held in memory before they go to disk. A whole day is held as well, and
            all labels.

    Raises:
        NothingArchived: nothing of these days is archived.
        InvalidHistory: ``out`` is not empty and ``overwrite`` is False, or is no history.
    """
    began = time.perf_counter()
    first, last = (since or date.min).isoformat(), (until or date.max).isoformat()
    days = [day for day in archive.days() if first <= day <= last]
    settled_ms = int(clock() * 1000) - genuine_after_days * DAY_MS
    with writing_history(out, overwrite=overwrite) as writer, progress_bar(show=show_progress) as progress:
        buckets = DayBuckets(writer.staging / "buckets", buffered_rows)
        duplicates = _read(archive, days, buckets, progress)
        if not buckets.days():
            raise NothingArchived(
                f"No decision of these days is archived in {archive.folder}; see `tollgate drain`."
            )
        verdicts = Verdicts.of(archive.labels)
        counts = _write(buckets, duplicates, verdicts, settled_ms, writer, progress)
    return DecidedHistory(
        out=out,
        rows=writer.rows,
        days=len(writer.days),
        first_day=writer.days[0],
        last_day=writer.days[-1],
        frauds=counts.frauds,
        genuine=counts.genuine,
        too_young=counts.unlabelled - counts.stopped,
        stopped=counts.stopped,
        repeated=len(duplicates),
        strange_labels=counts.strange_labels,
        duration_s=time.perf_counter() - began,
    )


@dataclass(slots=True)
class _Counts:
    frauds: int = 0
    genuine: int = 0
    unlabelled: int = 0
    stopped: int = 0
    strange_labels: int = 0


def _read(archive: Archive, days: list[str], buckets: DayBuckets, progress: Progress) -> Int64s:
    """Put the payments into buckets by day of the payment; return the positions of ids that came before."""
    total = sum(count_rows(file) for day in days for file in archive.files(day)[0])
    task = progress.add_task("Reading decisions", total=total)
    seen = SeenIds()
    for table in _with_positions(archive, days):
        seen.add(table.column("transaction_id").combine_chunks(), table.column("position").to_numpy())
        buckets.add(table)
        progress.advance(task, len(table))
    buckets.flush()
    return find_duplicates(seen, buckets)


def _with_positions(archive: Archive, days: list[str]) -> Iterator[pa.Table]:
    """Yield the payments of each file with their positions among all, from 0, in the order of the log."""
    position = 0
    for day in days:
        for table in archive.tables(day):
            yield _payments(in_order(table), position)
            position += len(table)


def _payments(decided: pa.Table, position: int) -> pa.Table:
    """Return what a history says of decided rows, their position, and whether each was approved."""
    columns = {name: decided.column(name) for name in _AS_THEY_ARE}
    columns["event_time"] = decided.column("event_time_ms").cast(HISTORY_SCHEMA.field("event_time").type)
    for name in ("lat", "long"):
        udeg = decided.column(f"{name}_udeg").to_numpy()
        columns[name] = pa.array(udeg / 1e6, mask=udeg == NO_PLACE)
    columns["position"] = pa.array(np.arange(position, position + len(decided)))
    columns["approved"] = pc.equal(decided.column("decision"), int(Decision.APPROVE))
    return pa.table(columns)


def _write(
    buckets: DayBuckets,
    duplicates: Int64s,
    verdicts: Verdicts,
    settled_ms: int,
    writer: HistoryWriter,
    progress: Progress,
) -> _Counts:
    """Write the days, and return what they hold."""
    counts = _Counts()
    for day in progress.track(buckets.days(), description="Writing days"):
        table = buckets.read(day)
        table = table.filter(pa.array(~np.isin(table.column("position").to_numpy(), duplicates)))
        table = table.sort_by([("event_time", "ascending"), ("position", "ascending")])
        approved = table.column("approved").to_numpy()
        time_ms = table.column("event_time").cast(pa.int64()).to_numpy()
        table, strange = verdicts.beside(table, day, approved & (time_ms <= settled_ms))
        is_fraud = table.column("is_fraud")
        counts.strange_labels += strange
        counts.frauds += pc.sum(is_fraud).as_py() or 0
        counts.genuine += len(table) - is_fraud.null_count - (pc.sum(is_fraud).as_py() or 0)
        counts.unlabelled += is_fraud.null_count
        counts.stopped += int((is_fraud.is_null().to_numpy() & ~approved).sum())
        table = table.append_column("arrival", table.column("position"))
        nothing = pa.nulls(len(table), pa.string())
        writer.write_day(day_of(day), table.append_column("fraud_pattern", nothing).select(HISTORY_SCHEMA.names))
    return counts
