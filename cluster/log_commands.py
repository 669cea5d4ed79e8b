"""The commands of the decision log: drain, audit."""

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

SHOWN = 20
"""Differences that are listed one by one."""

ArchiveFolder = Annotated[
    Path | None, typer.Option("--archive", help="Folder of the archive; default: that of the stack of --home.")
]


def drain_command(archive: ArchiveFolder = None, home: Home = None) -> None:
    """Move all decisions that wait in the store to Parquet, a folder a day; safe to stop and to repeat.

    Small files of days that are over are joined. The deployment DecisionLog does the same in the background.
    """
    from deployments.ledger.archive import Archive
    from deployments.ledger.compaction import Compaction
    from deployments.ledger.drain import Drain
    from deployments.ledger.folders import archive_folder
    from deployments.ledger.stream import LogStream, log_client

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} decisions archived"), TimeElapsedColumn())
    with reporting():
        settings = standing_settings(home)
        folder = archive or archive_folder(settings.data)
        total, joined = 0, 0
        with (
            log_client(settings.redis_url) as client,
            Progress(*columns, console=console, transient=True) as progress,
        ):
            drain, compaction = Drain(LogStream(client), Archive(folder)), Compaction(Archive(folder))
            task = progress.add_task("", total=None)
            through = drain.end()
            more = True
            while more:
                drained = drain.cycle(through=through)
                more = drained.more
                total += drained.transactions
                progress.update(task, completed=total)
            while files := compaction.step():
                joined += files
        of_them = f" {joined:,} files of days that are over were joined." if joined else ""
        console.print(f"{total:,} decisions archived in {folder}.{of_them}", soft_wrap=True)


def audit_command(
    day: Annotated[
        datetime | None, typer.Option(help="UTC day of the decisions; default: today.", formats=["%Y-%m-%d"])
    ] = None,
    archive: ArchiveFolder = None,
    home: Home = None,
) -> None:
    """Make every archived decision of a day again and report what differs; the exit code is 1 when anything does.

    So it is where nothing of that day is archived. Scores come from the registered models and the logged features,
    decisions from the logged policy. What still waits in the store is not archived: run `tollgate drain` before.
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


def _show(found: "Audit", console: Console) -> None:
    console.print(
        f"{found.day}: {found.transactions:,} decisions made again, {len(found.differences):,} differences,"
        f" {len(found.repeated):,} transactions logged more than once.",
        soft_wrap=True,
    )
    for fingerprint, count in sorted(found.foreign.items()):
        console.print(f"Not made again: {count:,} of the feature definitions {fingerprint}.", soft_wrap=True)
    if not found.ok:
        table = Table("transaction", "what", "logged", "again", box=None)
        for one in found.differences[:SHOWN]:
            table.add_row(one.transaction_id, one.what, str(one.logged), str(one.again))
        for name, count in list(found.repeated.items())[:SHOWN]:
            table.add_row(name, "entries", "1", str(count))
        Console().print(table)
