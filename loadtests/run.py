"""Run one scenario headless, keep its results, and fail when a threshold is not met.

    python -m loadtests.run step --traffic single --results results/step --max-p99-ms 200 --min-rps 300

The results folder holds locust's CSV files (``locust_*.csv``), ``report.html`` and ``locust.log``. The exit code
is 1 when a threshold was not met or locust did not run to its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cluster.reporting import reporting
from loadtests.locust_process import FOLDER, Watched, locust_command, run_locust
from loadtests.results import REPORT, LoadTestFailed, Totals, read_failures, read_totals
from loadtests.stages import duration_s, parse_stages
from loadtests.thresholds import Thresholds

REASONS: Final = 5
"""Kinds of failures that are shown; the CSV file has them all."""


class Scenario(StrEnum):
    """The shape of the load; each is a file of ``loadtests/scenarios``."""

    STEADY = "steady"
    STEP = "step"
    SPIKE = "spike"
    SOAK = "soak"
    STAGED = "staged"


class Traffic(StrEnum):
    """What the users send."""

    SINGLE = "single"
    BULK = "bulk"
    MIXED = "mixed"
    REPLAY = "replay"
    REPLAY_BULK = "replay-bulk"


_LOCUSTFILE: Final = FOLDER / "locustfile.py"
_REPLAYFILE: Final = FOLDER / "replayfile.py"
USERS: Final[dict[Traffic, tuple[Path, tuple[str, ...]]]] = {
    Traffic.SINGLE: (_LOCUSTFILE, ("PaymentBackend",)),
    Traffic.BULK: (_LOCUSTFILE, ("BulkClient",)),
    Traffic.MIXED: (_LOCUSTFILE, ("PaymentBackend", "BulkClient")),
    Traffic.REPLAY: (_REPLAYFILE, ("HistoryReplay",)),
    Traffic.REPLAY_BULK: (_REPLAYFILE, ("HistoryBulkReplay",)),
}
"""The locustfile and the classes in it that make each traffic."""


@dataclass(frozen=True, slots=True)
class Load:
    """One run: what is sent where, by how many users, for how long.

    Attributes:
        users: the highest number of users at once.
        duration_s: length of the run; of a staged one the sum of its stages.
        stages: the plan of a staged run, as :func:`loadtests.stages.parse_stages` reads it.
        history: the folder that a replay sends; ``history_limit`` bounds the transactions of it.
        processes: locust processes; their master shares the users out among them.
    """

    scenario: Scenario
    traffic: Traffic
    host: str
    users: int = 32
    duration_s: float = 60.0
    stages: str = ""
    think_time_ms: float = 0.0
    batch_size: int = 100
    customers: int = 100_000
    history: Path | None = None
    history_limit: int | None = None
    processes: int = 1

    def command(self, results: Path) -> list[str]:
        """Return locust's command line.

        Raises:
            LoadTestFailed: the settings contradict each other.
        """
        self._check()
        locustfile, classes = USERS[self.traffic]
        options = [
            *("--host", self.host, "--users", str(self.users)),
            *("--think-time-ms", f"{self.think_time_ms:g}", "--batch-size", str(self.batch_size)),
            *("--customers", str(self.customers)),
        ]
        if self.scenario is Scenario.STAGED:
            options += ["--stages", self.stages]
        else:
            options += ["--run-time", f"{round(self.duration_s)}s"]
        if self.processes > 1:
            options += ["--processes", str(self.processes)]
        if self.history is not None:
            options += ["--history", str(self.history.resolve())]
            options += ["--history-limit", str(self.history_limit)] if self.history_limit else []
        files = (locustfile, FOLDER / "scenarios" / f"{self.scenario}.py")
        return locust_command(files, results, [*options, *classes])

    def _check(self) -> None:
        replay = self.traffic in (Traffic.REPLAY, Traffic.REPLAY_BULK)
        if replay != (self.history is not None):
            raise LoadTestFailed("--history names the folder of a replay: give both, or neither.")
        if replay and self.processes > 1:
            raise LoadTestFailed("A replay runs in one process: several would each send the whole history.")
        if (self.scenario is Scenario.STAGED) != bool(self.stages):
            raise LoadTestFailed("--stages is the plan of the scenario `staged`: give both, or neither.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run showed: totals by endpoint, all together last; why requests failed; how busy locust was."""

    totals: tuple[Totals, ...]
    failures: tuple[tuple[str, int], ...]
    watched: Watched

    @property
    def all(self) -> Totals:
        """All endpoints together."""
        return self.totals[-1]

    def table(self) -> Table:
        """Return the totals for the terminal."""
        table = Table("", title="Over the whole run", title_justify="left")
        for column in ("requests", "failed", "requests/s", "p50 ms", "p99 ms"):
            table.add_column(column, justify="right")
        for one in self.totals:
            latencies = ("-" if value is None else f"{value:,.0f}" for value in (one.p50_ms, one.p99_ms))
            table.add_row(
                one.name, f"{one.requests:,}", f"{one.failures:,}", f"{one.requests_per_s:,.1f}", *latencies
            )
        return table


def run(load: Load, results: Path, *, show_progress: bool = True) -> Outcome:
    """Run locust and return what it measured; what an earlier run left in ``results`` is overwritten.

    Raises:
        LoadTestFailed: the settings contradict each other, or locust did not run to its end.
    """
    results = results.resolve()
    command = load.command(results)
    results.mkdir(parents=True, exist_ok=True)
    with _progress(show_progress) as progress:
        task = progress.add_task(f"{load.scenario}, {load.traffic}", total=load.duration_s)
        watched = run_locust(
            command, results, load.duration_s, lambda elapsed_s: progress.update(task, completed=elapsed_s)
        )
    return Outcome(tuple(read_totals(results)), tuple(read_failures(results)), watched)


def report(outcome: Outcome, broken: Sequence[str], results: Path, console: Console) -> None:
    """Print what a run showed, and which thresholds it did not meet."""
    console.print(outcome.table())
    for reason, times in outcome.failures[:REASONS]:
        console.print(Text(f"failed {times:,} times: {reason}", "red"), soft_wrap=True)
    limit = outcome.watched.is_the_limit
    console.print(Text(outcome.watched.sentence(), "yellow" if limit else ""), soft_wrap=True)
    console.print(Text(f"Results: {results / REPORT}"), soft_wrap=True)
    for sentence in broken:
        console.print(Text(sentence, "red"), soft_wrap=True)


def _progress(show: bool) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} s"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not show,
        transient=True,
    )


def main(
    scenario: Annotated[Scenario, typer.Argument(help="Shape of the load.")],
    traffic: Annotated[Traffic, typer.Option(help="What the users send.")] = Traffic.SINGLE,
    host: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8000",
    results: Annotated[Path | None, typer.Option(help="Folder. [default: results/SCENARIO-TRAFFIC]")] = None,
    users: Annotated[int, typer.Option(min=1, help="Users at most at once.")] = 32,
    duration_s: Annotated[float, typer.Option(min=1, help="Length of the run.")] = 60,
    stages: Annotated[str, typer.Option(help="Plan of `staged`: SECONDSxUSERS,SECONDSxUSERS,...")] = "",
    think_time_ms: Annotated[float, typer.Option(min=0, help="Pause of a user between two requests.")] = 0,
    batch_size: Annotated[int, typer.Option(min=1, help="Transactions a bulk request.")] = 100,
    customers: Annotated[int, typer.Option(min=1, help="Customers of made-up payments.")] = 100_000,
    history: Annotated[Path | None, typer.Option(help="Folder of `tollgate ingest`, for a replay.")] = None,
    history_limit: Annotated[int | None, typer.Option(min=1, help="Transactions of a replay at most.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Locust processes.")] = 1,
    max_failed_share: Annotated[float, typer.Option(min=0, max=1, help="Failed requests / requests.")] = 0,
    max_p99_ms: Annotated[float | None, typer.Option(min=0, help="Bound on p99.")] = None,
    min_rps: Annotated[float | None, typer.Option(min=0, help="Bound on requests a second.")] = None,
) -> None:
    """Run one load scenario with locust; the exit code is 1 when a threshold is not met."""
    folder = results or Path("results") / f"{scenario}-{traffic}"
    with reporting():
        load = Load(
            scenario=scenario,
            traffic=traffic,
            host=host,
            users=users,
            duration_s=_duration_s(stages) if stages else duration_s,
            stages=stages,
            think_time_ms=think_time_ms,
            batch_size=batch_size,
            customers=customers,
            history=history,
            history_limit=history_limit,
            processes=processes,
        )
        outcome = run(load, folder)
    broken = Thresholds(max_failed_share, max_p99_ms, min_rps).broken(outcome.all)
    report(outcome, broken, folder, Console())
    if broken:
        raise typer.Exit(1)


def _duration_s(stages: str) -> float:
    try:
        return duration_s(parse_stages(stages))
    except ValueError as error:
        raise LoadTestFailed(f"{error}.") from error


if __name__ == "__main__":
    typer.run(main)
