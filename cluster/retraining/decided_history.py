"""A history of what was decided, with the labels that came: ``tollgate history``.

The archive knows the payments, in the order in which they were logged, and every label that changed a verdict.
Which payments a model may learn from is decided here. One that was approved, and of which nobody complained, was
genuine; one that was blocked or reviewed and has no verdict may never have happened, so that silence says nothing.
And silence says nothing yet of the last weeks, nor of the time before labels were on record: of those days frauds
would be labelled and others not, so no payment of theirs is. Their labels count in windows all the same.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from rich.progress import Progress

from cluster.retraining.verdicts import NO_VERDICT, Verdicts
from deployments.decision import Decision
from deployments.ledger.archive import Archive
from deployments.ledger.order import in_order
from features.definitions import DAY_MS
from features.errors import InvalidHistory, NothingArchived
from features.history import HISTORY_SCHEMA
from features.label import Bools
from features.transaction import NO_PLACE, Int64s
from training.arrivals import STORE_REACH_MS
from training.history_files import day_of, writing_history
from training.ingestion.day_buckets import BUFFERED_ROWS, DayBuckets
from training.ingestion.duplicates import SeenIds, find_duplicates
from training.progress import progress_bar

OLD_DAYS: Final = STORE_REACH_MS // DAY_MS
"""A payment that was so old when it was decided counts in no window of those around it, and is strange."""
_AS_THEY_ARE: Final = (
    *("transaction_id", "customer_id", "merchant_id", "device_id", "amount_minor"),
    *("currency", "merchant_category", "transaction_type", "geo_location"),
)
_READ: Final = [
    *(*_AS_THEY_ARE, "event_time_ms", "lat_udeg", "long_udeg", "decision", "decided_at_ms", "entry", "row"),
]


@dataclass(frozen=True, slots=True)
class Span:
    """UTC days [since, until) of payments, in milliseconds since the epoch."""

    since_ms: int
    until_ms: int

    def holds(self, event_time_ms: Int64s) -> Bools:
        """Return which payments (n,) are of these days."""
        return (event_time_ms >= self.since_ms) & (event_time_ms < self.until_ms)

    def __str__(self) -> str:
        return f"{day_of(self.since_ms // DAY_MS)} to {day_of(self.until_ms // DAY_MS - 1)}"


@dataclass(slots=True)
class Tally:
    """What a history of decisions holds: ``rows == frauds + genuine + silent + outside``.

    Attributes:
        frauds, genuine: payments with a label, by the verdict that stands or by silence.
        silent: of the labelled days, blocked or reviewed payments without a verdict.
        outside: of other days; outside_frauds: those of them that are known as frauds.
        repeated: decisions left out, as their id had been decided before.
        old: payments that were ``OLD_DAYS`` old, or more, when they were decided.
        labels: that are of payments of the history.
    """

    frauds: int = 0
    genuine: int = 0
    silent: int = 0
    outside: int = 0
    outside_frauds: int = 0
    repeated: int = 0
    old: int = 0
    labels: int = 0


@dataclass(frozen=True, slots=True)
class DecidedHistory:
    """What was made.

    Attributes:
        out: where it is.
        rows, days: of it; first_day, last_day: UTC days of the payments.
        labelled: days of which payments have labels; None where there is no such day.
        tally: what it holds.
        all_labels: labels on record, also of payments that are not in it.
        duration_s: how long it took, in seconds.
    """

    out: Path
    rows: int
    days: int
    first_day: date
    last_day: date
    labelled: Span | None
    tally: Tally
    all_labels: int
    duration_s: float

    def __rich__(self) -> str:
        """Return the report in sentences."""
        tally = self.tally
        lines = [
            f"{self.rows:,} payments of {self.days:,} days, {self.first_day} to {self.last_day}, in {self.out},"
            f" in {self.duration_s:.1f} s."
        ]
        if self.labelled is None:
            lines.append(
                "None has a label to learn from: no day lies between the first label on record and --genuine-after"
                " days ago. --labels-since says from which day on all frauds were posted."
            )
        else:
            lines.append(
                f"To learn from, {self.labelled}: {tally.frauds:,} frauds and {tally.genuine:,} genuine;"
                f" {tally.silent:,} that were blocked or reviewed have no verdict."
            )
        lines.append(
            f"{tally.outside:,} payments of other days, {tally.outside_frauds:,} of them known as frauds, count in"
            " windows alone."
        )
        if tally.repeated:
            lines.append(f"Left out: {tally.repeated:,} decisions on an id that had been decided before.")
        if tally.old:
            lines.append(
                f"{tally.old:,} payments were {OLD_DAYS} days old or more when they were decided: a replay, or"
                " wrong dates? --since leaves out payments before a day."
            )
        if self.all_labels > tally.labels:
            lines.append(f"{self.all_labels - tally.labels:,} labels are of payments that are not in it.")
        return "\n".join(lines)


def decided_history(
    archive: Archive,
    out: Path,
    *,
    genuine_after_days: int,
    labels_since: date | None = None,
    since: date | None = None,
    until: date | None = None,
    overwrite: bool = False,
    show_progress: bool = True,
    clock: Callable[[], float] = time.time,
    buffered_rows: int = BUFFERED_ROWS,
) -> DecidedHistory:
    """Write the archived payments as a history, in the order in which they were logged.

    Args:
        archive: of decisions; the labels lie in it.
        out: the history folder to be written.
        genuine_after_days: days after which an approved payment without a verdict was genuine.
        labels_since: first UTC day from which on every fraud that became known was posted; None: the day after
            the first label on record.
        since, until: first and last UTC day of the payments; None: all.
        overwrite: replace a history that is there.
        show_progress: draw a progress bar on stderr.
        clock: the time now, in epoch seconds.
        buffered_rows: how many rows are held in memory before they go to disk. A whole day is held as well, 16
            bytes of every payment, and all labels.

    Raises:
        NothingArchived: no payment of these days is archived.
        InvalidHistory: ``out`` is not empty and ``overwrite`` is False, is no history, or lies in the archive.
    """
    began = time.perf_counter()
    if out.resolve().is_relative_to(archive.folder.resolve()):
        raise InvalidHistory(f"{out} lies in the archive; choose another folder")
    span = Span(_start_ms(since or date.min), _start_ms(until or date.max) + DAY_MS)
    with writing_history(out, overwrite=overwrite) as writer, progress_bar(show=show_progress) as progress:
        buckets = DayBuckets(writer.staging / "buckets", buffered_rows)
        duplicates = _read(archive, span, buckets, progress)
        if not buckets.days():
            raise NothingArchived(
                f"No payment of these days is archived in {archive.folder}; see `tollgate drain`."
            )
        verdicts = Verdicts.of(archive.labels)
        labelled = _labelled_span(verdicts, labels_since, genuine_after_days, int(clock() * 1000))
        tally = Tally(repeated=len(duplicates))
        for day in progress.track(buckets.days(), description="Writing days"):
            table = buckets.read(day)
            table = table.filter(pa.array(~np.isin(table.column("position").to_numpy(), duplicates)))
            table = table.sort_by([("event_time", "ascending"), ("position", "ascending")])
            writer.write_day(day_of(day), _labelled(table, verdicts, labelled, tally))
    return DecidedHistory(
        out=out,
        rows=writer.rows,
        days=len(writer.days),
        first_day=writer.days[0],
        last_day=writer.days[-1],
        labelled=labelled,
        tally=tally,
        all_labels=len(verdicts),
        duration_s=time.perf_counter() - began,
    )


def _start_ms(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY_MS


def _labelled_span(verdicts: Verdicts, since: date | None, genuine_after_days: int, now_ms: int) -> Span | None:
    """Return the days of which payments get labels: silence means something there, and whole days of both."""
    until_ms = (now_ms // DAY_MS - genuine_after_days) * DAY_MS
    if since is not None:
        since_ms = _start_ms(since)
    elif verdicts.first_taken_ms is not None:
        since_ms = (verdicts.first_taken_ms // DAY_MS + 1) * DAY_MS
    else:
        return None
    return Span(since_ms, until_ms) if since_ms < until_ms else None


def _read(archive: Archive, span: Span, buckets: DayBuckets, progress: Progress) -> Int64s:
    """Put the payments into buckets by their day; return the positions of ids that came before."""
    # No payment is dated more than a day after it is decided.
    first = "" if span.since_ms < 0 else day_of(span.since_ms // DAY_MS - 1).isoformat()
    days = [day for day in archive.days() if day >= first]
    seen = SeenIds()
    position = 0
    for day in progress.track(days, description="Reading decisions"):
        for decided in archive.tables(day, _READ):
            table = _payments(in_order(decided), position)
            position += len(table)
            time_ms = table.column("event_time").cast(pa.int64()).to_numpy()
            table = table.filter(pa.array(span.holds(time_ms)))
            seen.add(table.column("transaction_id").combine_chunks(), table.column("position").to_numpy())
            buckets.add(table)
    buckets.flush()
    return find_duplicates(seen, buckets)


def _payments(decided: pa.Table, position: int) -> pa.Table:
    """Return what a history says of decided rows, their position in the log, when and how they were decided."""
    columns = {name: decided.column(name) for name in _AS_THEY_ARE}
    columns["event_time"] = decided.column("event_time_ms").cast(HISTORY_SCHEMA.field("event_time").type)
    for name in ("lat", "long"):
        udeg = decided.column(f"{name}_udeg").to_numpy()
        columns[name] = pa.array(udeg / 1e6, mask=udeg == NO_PLACE)
    columns["position"] = pa.array(np.arange(position, position + len(decided)))
    columns["approved"] = pc.equal(decided.column("decision"), int(Decision.APPROVE))
    columns["decided_at_ms"] = decided.column("decided_at_ms")
    return pa.table(columns)


def _labelled(table: pa.Table, verdicts: Verdicts, labelled: Span | None, tally: Tally) -> pa.Table:
    """Return the payments of a day as a history has them, and add to the tally."""
    time_ms = table.column("event_time").cast(pa.int64()).to_numpy()
    decided_ms = table.column("decided_at_ms").to_numpy()
    told = verdicts.of_payments(table.column("transaction_id"), time_ms, decided_ms)
    verdict = np.where((told.verdict == NO_VERDICT) & table.column("approved").to_numpy(), 0, told.verdict)
    inside = np.zeros(len(table), np.bool_) if labelled is None else labelled.holds(time_ms)
    has_label = inside & (verdict != NO_VERDICT)
    tally.frauds += int((has_label & (verdict == 1)).sum())
    tally.genuine += int((has_label & (verdict == 0)).sum())
    tally.silent += int((inside & ~has_label).sum())
    tally.outside += int((~inside).sum())
    tally.outside_frauds += int((~inside & (verdict == 1)).sum())
    tally.old += int((decided_ms - time_ms >= STORE_REACH_MS).sum())
    tally.labels += told.labels
    added = {
        "arrival": table.column("position"),
        "fraud_pattern": pa.nulls(len(table), pa.string()),
        "is_fraud": pa.array(verdict.astype(np.int8), mask=~has_label),
        "known_labels": told.known_labels,
    }
    for name, column in added.items():
        table = table.append_column(HISTORY_SCHEMA.field(name), column)
    return table.select(HISTORY_SCHEMA.names)
