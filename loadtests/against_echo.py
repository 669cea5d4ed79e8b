"""Measure Tollgate against the echo, in interleaved runs, and print medians, spread and ratios.

    python -m loadtests.against_echo --repetitions 5 --seconds 10

Both must be live (see with_echo.py). A shared machine drifts by a factor of two within minutes. So the two are
measured in turns, a pair at a time and the order reversed each time; the ratio within a pair is what holds.
"""

from statistics import median
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cluster.reporting import reporting
from loadtests.wrk import Sample, find_wrk, run_wrk

CONNECTIONS: Final = (1, 64)
"""One caller alone, for the latency; and enough of them to keep the service busy, for the throughput."""
WARM_UP_S: Final = 2


Pair = tuple[Sample, Sample]
"""Service and echo, measured one right after the other."""


def compare(wrk: str, service: str, echo: str, connections: int, seconds: int, repetitions: int) -> list[Pair]:
    """Return the pairs of samples of ``repetitions`` interleaved runs."""
    pairs: list[Pair] = []
    urls = (service, echo)
    for repetition in range(repetitions):
        order = (0, 1) if repetition % 2 == 0 else (1, 0)
        samples = {which: run_wrk(wrk, urls[which], connections, seconds) for which in order}
        pairs.append((samples[0], samples[1]))
    return pairs


def table_of(connections: int, pairs: list[Pair]) -> Table:
    """Return medians with the lowest and the highest value, and the ratios within the pairs."""
    title = f"c={connections}, {len(pairs)} interleaved pairs: median (lowest-highest)"
    table = Table("", title=title, title_justify="left")
    for column in ("service", "echo", "service / echo"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, form, values in (
        ("requests/s", ",.0f", [(s.requests_per_s, e.requests_per_s) for s, e in pairs]),
        ("p50 ms", ".2f", [(s.p50_ms, e.p50_ms) for s, e in pairs]),
        ("p99 ms", ".2f", [(s.p99_ms, e.p99_ms) for s, e in pairs]),
    ):
        service, echo = [s for s, _ in values], [e for _, e in values]
        ratios = [s / e for s, e in values]
        table.add_row(name, spread(service, form), spread(echo, form), spread(ratios, ".2f"))
    failed = [sum(sample.failed for sample in column) for column in zip(*pairs, strict=True)]
    table.add_row("failed", *(f"{count:,}" for count in failed), "")
    return table


def spread(values: list[float], form: str) -> str:
    """Return the median of values, and in brackets their lowest and highest.

    >>> spread([3.0, 1.0, 2.0], ".1f")
    '2.0 (1.0-3.0)'
    """
    return f"{median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def main(
    service: Annotated[str, typer.Option(help="URL of the decision.")] = "http://127.0.0.1:8000/predict",
    echo: Annotated[str, typer.Option(help="URL of the echo.")] = "http://127.0.0.1:8000/echo/predict",
    seconds: Annotated[int, typer.Option(min=1, help="Length of one run.")] = 10,
    repetitions: Annotated[int, typer.Option(min=1, help="Pairs of runs at each concurrency.")] = 5,
    wrk: Annotated[str, typer.Option(help="The wrk command, or its path.")] = "wrk",
) -> None:
    """Measure the service against the echo with wrk, at 1 and at 64 connections."""
    console, errors = Console(), Console(stderr=True)
    with reporting():
        found = find_wrk(wrk)
        for url in track((service, echo), "Warming up", console=errors, transient=True):
            run_wrk(found, url, CONNECTIONS[-1], WARM_UP_S)
        for connections in track(CONNECTIONS, "Measuring", console=errors, transient=True):
            console.print(table_of(connections, compare(found, service, echo, connections, seconds, repetitions)))


if __name__ == "__main__":
    typer.run(main)
