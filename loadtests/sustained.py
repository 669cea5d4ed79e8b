"""Hold a share of the peak rate for minutes: latency at that rate, and what each process's memory does meanwhile.

    python -m loadtests.sustained --home .tollgate --seconds 600 --results results/sustained
    python -m loadtests.sustained --home .tollgate --seconds 12 --rounds 7

The peak is measured first (wrk at ``--connections``, as fast as it goes). Then requests leave by a timetable at
``--share`` of it. In several rounds both alternate, each load at its share of the peak just before it, for a peak
drifts; then medians count. Every few seconds the private memory (USS) of every process of the stack is read. Its
growth is the median of the last tenth of the run over that of the second tenth: the first warms up. The store is
named by itself, for it keeps what it is told. The exit code is 1 when a request failed, the rate was not held, or
a bound that was given (``--max-p99-ms``, ``--max-growth-percent``) was broken.
"""

import csv
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import psutil
import typer
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from cluster.processes import owned_by
from cluster.reporting import Home, reporting, standing_settings
from features.errors import ClusterError
from loadtests.wrk import Sample, find_wrk, run_wrk

PEAK_S: Final = 10
WARM_UP_S: Final = 5
READ_S: Final = 5.0
"""Shortest pause between two readings: one takes .15 s of CPU, which the service lacks meanwhile."""
HELD: Final = 0.97
"""Share of the wanted rate below which it was not held: what was measured is then another load."""
CUSTOMERS: Final = "100000"
STORE: Final = "valkey-server"
_MEASURED: Final = ("requests_per_s", "p50_ms", "p99_ms", "client_cores")
SMALL_MIB: Final = 1.0
"""Growth below it is the allocator's noise, whatever it is in percent."""
MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Reading:
    """The private memory of one process at one time, in MiB."""

    time_s: float
    pid: int
    name: str
    mib: float


@dataclass(frozen=True, slots=True)
class Growth:
    """What one process had in the second and in the last tenth of a run, in MiB."""

    name: str
    pid: int
    before_mib: float
    after_mib: float

    @property
    def percent(self) -> float:
        """Growth in percent; 0 where it is below ``SMALL_MIB``."""
        grown = self.after_mib - self.before_mib
        return 100 * grown / self.before_mib if abs(grown) >= SMALL_MIB else 0.0


def growths(readings: Sequence[Reading], seconds: float) -> list[Growth]:
    """Return the growth of each process that was there in the second and in the last tenth, the largest first.

    >>> early, late = Reading(15, 1, "router", 100.0), Reading(95, 1, "router", 103.0)
    >>> [growth.percent for growth in growths([early, late], 100)]
    [3.0]
    """
    before: dict[tuple[int, str], list[float]] = {}
    after: dict[tuple[int, str], list[float]] = {}
    for reading in readings:
        tenth = reading.time_s / seconds * 10
        if 1 <= tenth < 2:
            before.setdefault((reading.pid, reading.name), []).append(reading.mib)
        elif tenth >= 9:
            after.setdefault((reading.pid, reading.name), []).append(reading.mib)
    found = [
        Growth(name, pid, median(before[pid, name]), median(values))
        for (pid, name), values in after.items()
        if (pid, name) in before
    ]
    return sorted(found, key=lambda growth: -growth.percent)


def read_memory(home: Path, time_s: float) -> list[Reading]:
    """Return the private memory of every process of a stack."""
    readings = []
    for one in owned_by(home):
        try:
            mib = one.process.memory_full_info().uss / MIB
        except psutil.NoSuchProcess:
            continue
        readings.append(Reading(time_s, one.process.pid, one.name.partition(".")[0], mib))
    return readings


def broken(
    sample: Sample,
    wanted_per_s: float,
    grown: Sequence[Growth],
    max_p99_ms: float | None,
    max_growth_percent: float | None,
) -> list[str]:
    """Return a sentence for each bound that was not kept."""
    sentences = []
    if sample.failed:
        sentences.append(f"{sample.failed:,} requests failed.")
    if sample.requests_per_s < HELD * wanted_per_s:
        sentences.append(f"{sample.requests_per_s:,.0f}/s were made, not the {wanted_per_s:,.0f}/s wanted.")
    if max_p99_ms is not None and sample.p99_ms > max_p99_ms:
        sentences.append(f"max-p99-ms: p99 was {sample.p99_ms:,.1f} ms, more than {max_p99_ms:g} ms.")
    if max_growth_percent is not None:
        if not grown:
            sentences.append("max-growth-percent: memory was read too seldom to tell; hold the rate for longer.")
        sentences.extend(
            f"max-growth-percent: {growth.name} (pid {growth.pid}) grew by {growth.percent:.1f} %, more than"
            f" {max_growth_percent:g} %."
            for growth in grown
            if growth.name != STORE and growth.percent > max_growth_percent
        )
    return sentences


def middle(samples: Sequence[Sample]) -> Sample:
    """Return the medians of rounds, and how many of all their requests failed.

    >>> middle([Sample(100, 1, 9, 0, 0.1), Sample(90, 2, 5, 3, 0.1), Sample(80, 3, 7, 0, 0.1)])
    Sample(requests_per_s=90, p50_ms=2, p99_ms=7, failed=3, client_cores=0.1)
    """
    columns = {name: median(getattr(sample, name) for sample in samples) for name in _MEASURED}
    return replace(samples[0], failed=sum(sample.failed for sample in samples), **columns)


def hold(
    home: Path, wrk: str, url: str, connections: int, rate: float, seconds: int, began: float
) -> tuple[Sample, list[Reading]]:
    """Return what wrk measured at a rate, and the memory meanwhile.

    Args:
        began: the time from which readings count theirs, by the monotonic clock.

    Raises:
        WrkFailed: wrk did not measure.
    """
    readings: list[Reading] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(max(READ_S, seconds / 100)):
            readings.extend(read_memory(home, time.monotonic() - began))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        sample = run_wrk(wrk, url, connections, seconds, arguments=(CUSTOMERS, f"{rate:.1f}"))
    finally:
        ended.set()
        watcher.join()
    return sample, readings


def told(sample: Sample) -> str:
    """Return what was measured in words."""
    return f"{sample.requests_per_s:,.0f}/s, p50 {sample.p50_ms:.1f} ms, p99 {sample.p99_ms:.1f} ms"


def table_of(grown: Sequence[Growth]) -> Table:
    """Return the growth of each process as a table."""
    table = Table("process", "pid", title="private memory (USS)", title_justify="left")
    for column in ("before, MiB", "after, MiB", "growth, %"):
        table.add_column(column, justify="right")
    for one in grown:
        before, after = f"{one.before_mib:,.1f}", f"{one.after_mib:,.1f}"
        table.add_row(one.name, str(one.pid), before, after, f"{one.percent:.1f}")
    return table


def write_results(results: Path, readings: Sequence[Reading], title: str) -> None:
    """Write ``memory.csv`` and ``memory.png``: the memory of each process over time."""
    results.mkdir(parents=True, exist_ok=True)
    with (results / "memory.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("time_s", "pid", "name", "uss_mib"))
        writer.writerows((f"{r.time_s:.1f}", r.pid, r.name, f"{r.mib:.2f}") for r in readings)
    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    for pid, name in sorted({(reading.pid, reading.name) for reading in readings}, key=lambda key: key[1]):
        own = [reading for reading in readings if reading.pid == pid]
        panel.plot([r.time_s for r in own], [r.mib for r in own], label=f"{name} {pid}")
    panel.set(title=title, xlabel="seconds", ylabel="private memory (USS), MiB", yscale="log")
    panel.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(results / "memory.png", dpi=110)


def main(
    home: Home = None,
    url: Annotated[str | None, typer.Option(help="URL of the decision; that of the stack unless given.")] = None,
    connections: Annotated[int, typer.Option(min=1, help="Connections.")] = 256,
    share: Annotated[
        float, typer.Option(min=0.05, max=1.0, help="Of the peak rate, which is measured first.")
    ] = 0.8,
    seconds: Annotated[int, typer.Option(min=10, help="How long the rate is held, each time.")] = 600,
    rounds: Annotated[int, typer.Option(min=1, help="How often peak and load alternate.")] = 1,
    results: Annotated[Path, typer.Option(help="Folder for memory.csv and memory.png.")] = Path(
        "results/sustained"
    ),
    max_p99_ms: Annotated[float | None, typer.Option(help="Fail above this p99.")] = None,
    max_growth_percent: Annotated[
        float | None, typer.Option(help="Fail when a process but the store grew by more.")
    ] = None,
    wrk: Annotated[str, typer.Option(help="The wrk command, or its path.")] = "wrk",
) -> None:
    """Hold a share of the peak rate; print latency and the memory growth of each process."""
    console, errors = Console(), Console(stderr=True)
    with reporting():
        settings = standing_settings(home)
        if not owned_by(settings.home):
            raise ClusterError(
                f"No stack runs with the state folder {settings.home}; start one with `tollgate up`."
            )
    url = url or f"{settings.http_url}/predict"
    rates: list[float] = []
    samples: list[Sample] = []
    readings: list[Reading] = []
    with reporting():
        found = find_wrk(wrk)
        run_wrk(found, url, connections, WARM_UP_S)
        began = time.monotonic()
        for number in range(1, rounds + 1):
            peak = run_wrk(found, url, connections, PEAK_S)
            rates.append(share * peak.requests_per_s)
            console.print(f"{'peak':>8}: {told(peak)}")
            with errors.status(f"round {number} of {rounds}: {rates[-1]:,.0f}/s for {seconds} s"):
                sample, memory = hold(settings.home, found, url, connections, rates[-1], seconds, began)
            console.print(f"{share:>8.0%}: {told(sample)}, failed {sample.failed}")
            samples.append(sample)
            readings += memory
        took_s = time.monotonic() - began
    grown = growths(readings, took_s)
    result = middle(samples)
    if rounds > 1:
        console.print(f"{'median':>8}: {told(result)}, failed {result.failed} in all")
    console.print(table_of(grown))
    write_results(results, readings, f"{share:.0%} of the peak: {told(result)}")
    sentences = broken(result, median(rates), grown, max_p99_ms, max_growth_percent)
    for sentence in sentences:
        errors.print(sentence, style="red", soft_wrap=True)
    if sentences:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
