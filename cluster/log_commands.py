"""The commands of the decision log: drain, audit, history."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cluster.reporting import Home, reporting, standing_settings
from features.errors import NothingArchived

if TYPE_CHECKING:
    from deployments.ledger.audit import Audit

GENUINE_AFTER_DAYS = 30
"""Days that somebody has to complain of a payment, unless asked otherwise."""
SHOWN = 20
"""Differences that are listed one by one."""

ArchiveFolder = Annotated[
    Path | None, typer.Option("--archive", help="Folder of the archive; default: that of the stack of --home.")
]


def drain_command(archive: ArchiveFolder = None, home: Home = None) -> None:
    """Move all decisions and labels that wait in the store to Parquet, a folder a day; safe to stop and to repeat.

    Small files of days that are over are joined. The deployment DecisionLog does the same in the background.
    """
    from deployments.ledger.archive import Archive
    from deployments.ledger.compaction import Compaction
    from deployments.ledger.drain import Drain
    from deployments.ledger.folders import archive_folder
    from deployments.ledger.stream import LogStream, log_client

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.completed:,.0f} {task.description} archived"),
        TimeElapsedColumn(),
    )
    with reporting():
        settings = standing_settings(home)
        decisions = Archive(archive or archive_folder(settings.data))
        totals: dict[str, int] = {}
        joined = 0
        with (
            log_client(settings.redis_url) as client,
            Progress(*columns, console=console, transient=True) as progress,
        ):
            for kept in (decisions, decisions.labels):
                drain, compaction = Drain(LogStream(client, kept.kind.key), kept), Compaction(kept)
                task = progress.add_task(kept.kind.name, total=None)
                through = drain.end()
                more = through is not None
                total = 0
                while more:
                    drained = drain.cycle(through=through)
                    more = drained.more
                    total += drained.rows
                    progress.update(task, completed=total)
                totals[kept.kind.name] = total
                while files := compaction.step():
                    joined += files
        archived = " and ".join(f"{total:,} {name}" for name, total in totals.items())
        of_them = f" {joined:,} files of days that are over were joined." if joined else ""
        console.print(f"{archived} archived in {decisions.folder}.{of_them}", soft_wrap=True)


def audit_command(
    day: Annotated[
        datetime | None, typer.Option(help="UTC day of the decisions; default: today.", formats=["%Y-%m-%d"])
    ] = None,
    archive: ArchiveFolder = None,
    home: Home = None,
) -> None:
    """Make every archived decision of a day again and report what differs; the exit code is 1 when anything does.

    So it is where nothing of that day is archived. Scores come from the registered models and the logged features,
    decisions and reasons from the logged policy. What still waits in the store is not archived: run `tollgate
    drain` before.
    """
    from deployments.ledger.archive import Archive
    from deployments.ledger.audit import audit
    from deployments.ledger.folders import archive_folder
    from deployments.ledger.registered_bundles import RegisteredBundles

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} decisions"), TimeElapsedColumn())
    with reporting():
        settings = standing_settings(home)
        folder = Archive(archive or archive_folder(settings.data))
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=None)
            found = audit(
                folder,
                (day or datetime.now(UTC)).date().isoformat(),
                RegisteredBundles(settings.mlflow_uri),
                lambda rows: progress.advance(task, rows),
            )
        if found.is_empty:
            raise NothingArchived(
                f"No decision of {found.day} is archived in {folder.folder}; see `tollgate drain`."
            )
        _show(found, console)
        if not found.ok:
            raise typer.Exit(1)


def history_command(
    out: Annotated[Path, typer.Option(help="History folder to write.")],
    since: Annotated[
        datetime | None, typer.Option(help="First UTC day of the payments; default: all.", formats=["%Y-%m-%d"])
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Last UTC day of the payments; default: all.", formats=["%Y-%m-%d"])
    ] = None,
    genuine_after: Annotated[
        int,
        typer.Option(
            min=0,
            max=3650,
            help="Days after which an approved payment of which no label says anything was genuine. Models learn"
            " from no younger one, fraud or not.",
        ),
    ] = GENUINE_AFTER_DAYS,
    labels_since: Annotated[
        datetime | None,
        typer.Option(
            help="First UTC day from which on every fraud that became known was posted as a label: models learn"
            " from no payment before it. Default: the day after the first label on record.",
            formats=["%Y-%m-%d"],
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a history that is there.")] = False,
    archive: ArchiveFolder = None,
    home: Home = None,
) -> None:
    """Make a history of the archived decisions and labels, to train on, and to load with `tollgate backfill`.

    What still waits in the store is not archived: run `tollgate drain` before.
    """
    from cluster.retraining.decided_history import decided_history
    from deployments.ledger.archive import Archive
    from deployments.ledger.folders import archive_folder

    with reporting():
        report = decided_history(
            Archive(archive or archive_folder(standing_settings(home).data)),
            out,
            genuine_after_days=genuine_after,
            labels_since=labels_since and labels_since.date(),
            since=since and since.date(),
            until=until and until.date(),
            overwrite=overwrite,
        )
        Console(stderr=True).print(report, soft_wrap=True)


def _show(found: "Audit", console: Console) -> None:
    console.print(
        f"{found.day}: {found.transactions:,} decisions made again, {len(found.differences):,} differences,"
        f" {len(found.repeated):,} transactions logged more than once.",
        soft_wrap=True,
    )
    for fingerprint, count in sorted(found.foreign.items()):
        console.print(f"Not made again: {count:,} of the feature definitions {fingerprint}.", soft_wrap=True)
    if not found.transactions:
        console.print("Nothing could be made again: audit the day with the release that decided it.")
    if found.differences or found.repeated:
        table = Table("transaction", "what", "logged", "again", box=None)
        for one in found.differences[:SHOWN]:
            table.add_row(one.transaction_id, one.what, str(one.logged), str(one.again))
        for name, count in list(found.repeated.items())[:SHOWN]:
            table.add_row(name, "entries", "1", str(count))
        Console().print(table)
