"""Print the budget of one decision: the CPU that each process of a stack spends on it, in microseconds.

    python -m loadtests.budget --home .tollgate --connections 256

The stack must be live and alone on the machine. What a process takes while nobody asks is measured first and
taken off, and shown by itself: the timers of a Ray node cost as much at one decision a second as at a thousand.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import psutil
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cluster.processes import owned_by
from cluster.reporting import reporting
from features.errors import ClusterError
from loadtests.wrk import find_wrk, run_wrk

WARM_UP_S: Final = 2
SHOWN_US: Final = 1.0
"""Processes below it are summed up in one line."""
REST: Final = "all others"

Cpu = dict[str, float]
"""CPU seconds of each kind of process, by its name."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of load cost.

    Attributes:
        decisions: that were made.
        seconds: that it took.
        cpu_s: CPU seconds of each kind of process meanwhile.
    """

    decisions: float
    seconds: float
    cpu_s: Cpu


def cpu_of(home: Path) -> dict[int, tuple[str, float]]:
    """Return name and CPU seconds so far of each process of a stack, by its pid."""
    used: dict[int, tuple[str, float]] = {}
    for one in owned_by(home):
        try:
            times = one.process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        # Ray puts the method that an actor runs behind its name.
        used[one.process.pid] = one.name.partition(".")[0], times.user + times.system
    return used


def used_between(before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]]) -> Cpu:
    """Return the CPU seconds between two looks, by name; a process that only starts or ends is no part of it."""
    used: Cpu = {}
    for pid, (name, cpu_s) in after.items():
        if pid in before:
            used[name] = used.get(name, 0.0) + cpu_s - before[pid][1]
    return used


def budget(idle: Run, runs: list[Run]) -> dict[str, float]:
    """Return microseconds a decision for each kind of process: the median of the runs, idle use taken off.

    >>> idle = Run(0, 10, {"a": 1.0})
    >>> budget(idle, [Run(1000, 10, {"a": 3.0})])
    {'a': 2000.0}
    """
    names = {name for run in runs for name in run.cpu_s}
    costs = {
        name: median(
            (run.cpu_s.get(name, 0) - idle.cpu_s.get(name, 0) / idle.seconds * run.seconds) / run.decisions * 1e6
            for run in runs
        )
        for name in names
    }
    return dict(sorted(costs.items(), key=lambda item: -item[1]))


def measure(home: Path, wrk: str, url: str, connections: int, seconds: int) -> Run:
    """Return what a run of load cost."""
    before, began = cpu_of(home), time.monotonic()
    sample = run_wrk(wrk, url, connections, seconds)
    took = time.monotonic() - began
    return Run(sample.requests_per_s * seconds, took, used_between(before, cpu_of(home)))


def rest(home: Path, seconds: int) -> Run:
    """Return what the stack costs while nobody asks."""
    before, began = cpu_of(home), time.monotonic()
    time.sleep(seconds)  # What is measured is this time without load.
    return Run(0, time.monotonic() - began, used_between(before, cpu_of(home)))


def table_of(connections: int, idle: Run, runs: list[Run]) -> Table:
    """Return the budget as a table, the costliest process first."""
    rate = median(run.decisions / run.seconds for run in runs)
    table = Table("process", title=f"c={connections}, {rate:,.0f} decisions/s", title_justify="left")
    table.add_column("us a decision", justify="right")
    table.add_column("idle, % of a core", justify="right")
    costs = budget(idle, runs)
    idle_share = {name: idle.cpu_s.get(name, 0) / idle.seconds * 100 for name in costs}
    for name, cost in costs.items():
        if cost >= SHOWN_US:
            table.add_row(name, f"{cost:,.0f}", f"{idle_share[name]:.1f}")
    small = [name for name, cost in costs.items() if cost < SHOWN_US]
    table.add_row(REST, f"{sum(costs[n] for n in small):,.0f}", f"{sum(idle_share[n] for n in small):.1f}")
    table.add_row("sum", f"{sum(costs.values()):,.0f}", f"{sum(idle_share.values()):.1f}", style="bold")
    return table


def main(
    home: Annotated[Path, typer.Option(help="State folder of the stack.")] = Path(".tollgate"),
    url: Annotated[str, typer.Option(help="URL of the decision.")] = "http://127.0.0.1:8000/predict",
    connections: Annotated[list[int] | None, typer.Option(help="Connections; several times.")] = None,
    seconds: Annotated[int, typer.Option(min=1, help="Length of one run.")] = 8,
    repetitions: Annotated[int, typer.Option(min=1, help="Runs at each concurrency.")] = 3,
    wrk: Annotated[str, typer.Option(help="The wrk command, or its path.")] = "wrk",
) -> None:
    """Print the CPU of each process of a stack a decision, in microseconds."""
    console, errors = Console(), Console(stderr=True)
    home = home.resolve()
    with reporting():
        if not owned_by(home):
            raise ClusterError(f"No stack runs with the state folder {home}; start one with `tollgate up`.")
        found = find_wrk(wrk)
        run_wrk(found, url, 16, WARM_UP_S)
        idle = rest(home, seconds)
        for number in connections or [1, 64, 256]:
            runs = [
                measure(home, found, url, number, seconds)
                for _ in track(range(repetitions), f"c={number}", console=errors, transient=True)
            ]
            console.print(table_of(number, idle, runs))


if __name__ == "__main__":
    typer.run(main)
