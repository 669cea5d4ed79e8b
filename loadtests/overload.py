"""Overload: what a running stack does at a multiple of its capacity, and how soon it is itself again.

    python -m loadtests.overload --home .tollgate

First the peak: the open-loop rate (:mod:`loadtests.open_loop`) is raised by steps until the service refuses or
falls behind; the most that it accepted in a step is the peak. Then some seconds at half of it, some at
``--factor`` times it, some at half of it again. Reported: goodput against the peak, p99 of what was accepted at
the peak and beyond it, how fast the rest is refused, seconds from the end of the overload until half the peak is
served as before it, and the memory of every process. Left in the results folder: ``overload.json`` and
``overload.png``.
"""

import asyncio
import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from cluster.reporting import Home, reporting, standing_settings
from cluster.settings import ClusterSettings
from features.errors import ClusterError
from loadtests.open_loop import OpenLoop, Second
from loadtests.overload_plot import write_plot
from loadtests.payments import payment
from loadtests.sustained import Reading, read_memory

CUSTOMERS: Final = 100_000
MERCHANTS: Final = 5_000
BODIES: Final = 4_000
"""Bodies that are made ahead; each is sent under an id of its own."""
STEP: Final = 1.25
STEP_S: Final = 5
ATTEMPTS: Final = 2
"""Steps at one rate until it counts as too high: a machine with other work stumbles now and then."""
REFUSED_SHARE: Final = 0.02
"""Share of a step that may be refused until it counts as more than the service takes."""
SETTLE_S: Final = 10.0
RECOVERED: Final = 0.95
"""Share of the load before that must be accepted again."""
SLOWER: Final = 3.0
"""Times the p99 of before within which a second counts as recovered."""
SHOWN: Final = 10
"""Processes whose memory the terminal shows; overload.json has all."""
Memory = dict[str, tuple[float, float]]
"""Private memory of each process before and after, in MiB, by name and pid."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the load: its rate a second, and what became of each of its seconds."""

    name: str
    rate: float
    seconds: list[Second]

    @property
    def goodput(self) -> float:
        """Accepted requests a second, by the time at which they were due."""
        return sum(second.accepted for second in self.seconds) / len(self.seconds)

    def share(self, count: str) -> float:
        """Return the share of the due requests that a counter holds."""
        due = sum(second.due for second in self.seconds)
        return float(sum(getattr(second, count) for second in self.seconds)) / due if due else 0.0

    def percentile_ms(self, of: str, percent: float) -> float:
        """Return a percentile of latencies in milliseconds; 0 where there are none."""
        return 1e3 * percentile([value for second in self.seconds for value in getattr(second, of)], percent)

    @property
    def p99_ms_of_a_second(self) -> float:
        """Median of the seconds' p99 of what was accepted: one second that stood still does not decide it."""
        decided = [percentile(second.latencies_s, 99) for second in self.seconds if second.latencies_s]
        return 1e3 * median(decided) if decided else 0.0


@dataclass(frozen=True, slots=True)
class Peak:
    """The most that the service accepted a second, and its p99 at the highest rate that it held, in ms."""

    rate: float
    p99_ms: float


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile (nearest rank); 0 of nothing.

    >>> percentile([3, 1, 2, 4], 50), percentile([3, 1, 2, 4], 99), percentile([], 50)
    (2, 4, 0.0)
    """
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Report:
    """What an overload showed. Rates a second, latencies in milliseconds."""

    peak: float
    factor: float
    offered: float
    goodput: float
    goodput_of_peak: float
    p50_ms_before: float
    p99_ms_before: float
    p99_ms_at_peak: float
    p99_ms: float
    p99_ms_of_a_second: float
    refused_share: float
    refused_p99_ms: float
    other_share: float
    not_sent_share: float
    late_share: float
    others: dict[str, int]
    recovered_s: int | None
    memory_mib: Memory


def report_of(peak: Peak, factor: float, phases: Sequence[Phase], memory: Memory) -> Report:
    """Return the report of the three phases: before, overload, after."""
    before, overload, after = phases
    return Report(
        peak=peak.rate,
        factor=factor,
        offered=overload.rate,
        goodput=overload.goodput,
        goodput_of_peak=overload.goodput / peak.rate,
        p50_ms_before=before.percentile_ms("latencies_s", 50),
        p99_ms_before=before.percentile_ms("latencies_s", 99),
        p99_ms_at_peak=peak.p99_ms,
        p99_ms=overload.percentile_ms("latencies_s", 99),
        p99_ms_of_a_second=overload.p99_ms_of_a_second,
        refused_share=overload.share("refused"),
        refused_p99_ms=overload.percentile_ms("refusals_s", 99),
        other_share=overload.share("other"),
        not_sent_share=overload.share("not_sent"),
        late_share=overload.share("late"),
        others=dict(sum((second.others for second in overload.seconds), Counter())),
        recovered_s=recovered_s(before, after),
        memory_mib=memory,
    )


def recovered_s(before: Phase, after: Phase) -> int | None:
    """Return the seconds from the end of an overload until the service is as before it; None if it was not."""
    usual_s = median(percentile(second.latencies_s, 99) for second in before.seconds)
    for number, second in enumerate(after.seconds):
        served = second.accepted >= RECOVERED * second.due
        if served and percentile(second.latencies_s, 99) <= SLOWER * usual_s:
            return number
    return None


def bodies() -> Iterator[bytes]:
    """Give bodies of payments without end, each with an id of its own."""
    made = [json.dumps(payment(CUSTOMERS, MERCHANTS)) for _ in range(BODIES)]
    run = f"{random.getrandbits(48):012x}"
    number = 0
    while True:
        text = made[number % BODIES]
        # What is made ahead begins with its id; the rest of it is used again under another.
        rest = text[text.index('", "timestamp"') :]
        yield f'{{"transaction_id": "{run}-{number}{rest}'.encode()
        number += 1


async def find_peak(load: OpenLoop, first: float, pause_s: float = 1.0) -> Peak:
    """Return the most that the service accepted a second while the rate was raised by steps.

    Args:
        first: rate of the first step.
        pause_s: after each step, for answers that are late.

    Raises:
        ClusterError: it accepted nothing.
    """
    rate, best, p99_ms = first, 0.0, 0.0
    while True:
        for _ in range(ATTEMPTS):
            begun = len(load.seconds)
            await load.send(rate, STEP_S)
            await asyncio.sleep(pause_s)
            step = Phase("step", rate, load.seconds[begun:])
            best = max(best, step.goodput)
            held = step.share("refused") <= REFUSED_SHARE and step.goodput >= RECOVERED * rate
            if held or not p99_ms:
                p99_ms = step.percentile_ms("latencies_s", 99)
            if held:
                break
        if not best:
            raise ClusterError("The service accepted nothing; is it up, and idle?")
        if not held:
            return Peak(best, p99_ms)
        rate *= STEP


async def overload(
    settings: ClusterSettings, factor: float, seconds: int, connections: int, first: float, console: Console
) -> tuple[Report, list[Phase]]:
    """Run the whole course against a stack.

    Raises:
        ClusterError: the service accepted nothing.
    """
    source = bodies()
    load = OpenLoop("127.0.0.1", settings.ports.http, lambda: next(source), connections)
    peak = await find_peak(load, first)
    console.print(f"peak: {peak.rate:,.0f}/s")
    await asyncio.sleep(SETTLE_S)
    before = read_memory(settings.home, 0.0)
    phases = []
    for name, rate in (("before", peak.rate / 2), ("overload", factor * peak.rate), ("after", peak.rate / 2)):
        begun = len(load.seconds)
        await load.send(rate, seconds)
        phases.append(Phase(name, rate, load.seconds[begun:]))
    after = read_memory(settings.home, 0.0)
    await load.settle(SETTLE_S)
    return report_of(peak, factor, phases, memory_of(before, after)), phases


def memory_of(before: Sequence[Reading], after: Sequence[Reading]) -> Memory:
    """Return the private memory of each process before and after, in MiB, by name and pid."""
    known = {reading.pid: reading.mib for reading in before}
    return {f"{one.name} {one.pid}": (known[one.pid], one.mib) for one in after if one.pid in known}


def table_of(report: Report) -> Table:
    """Return the report for the terminal."""
    table = Table(box=None, show_header=False)
    for name, value in (
        ("peak", f"{report.peak:,.0f}/s"),
        (f"offered, {report.factor:g} x", f"{report.offered:,.0f}/s"),
        ("goodput", f"{report.goodput:,.0f}/s, {report.goodput_of_peak:.0%} of the peak"),
        ("p99 at half the peak", f"{report.p99_ms_before:,.0f} ms"),
        ("p99 at the peak", f"{report.p99_ms_at_peak:,.0f} ms"),
        ("p99 of the accepted", f"{report.p99_ms:,.0f} ms"),
        ("p99 of a second, median", f"{report.p99_ms_of_a_second:,.0f} ms"),
        ("503 with Retry-After", f"{report.refused_share:.1%}, p99 {report.refused_p99_ms:,.0f} ms"),
        ("other answers, or none", f"{report.other_share:.2%} {report.others or ''}"),
        ("not sent", f"{report.not_sent_share:.1%} for want of a connection"),
        ("sent late", f"{report.late_share:.1%}, as the generator was too slow"),
        ("recovered", "never" if report.recovered_s is None else f"after {report.recovered_s} s"),
    ):
        table.add_row(name, value)
    for name, (before, after) in sorted(report.memory_mib.items(), key=lambda item: -item[1][1])[:SHOWN]:
        table.add_row(f"memory of {short(name)}", f"{before:,.0f} to {after:,.0f} MiB")
    return table


def short(name: str) -> str:
    """Return the name of a process without what all replicas begin with.

    >>> short("ray::ServeReplica:tollgate:Router 12"), short("haproxy 7")
    ('Router 12', 'haproxy 7')
    """
    return name.rpartition(":")[2]


def main(
    home: Home = None,
    factor: Annotated[float, typer.Option(min=1, help="Times the peak that is offered.")] = 3.0,
    seconds: Annotated[int, typer.Option(min=3, help="Of each phase.")] = 20,
    connections: Annotated[int, typer.Option(min=1, help="Of the generator, at most.")] = 2000,
    first: Annotated[float, typer.Option(min=1, help="Rate of the first step, a second.")] = 200,
    out: Annotated[Path, typer.Option(help="Folder of what is measured.")] = Path("results/overload"),
) -> None:
    """Overload a running stack and show what it does."""
    console = Console(stderr=True)
    with reporting():
        settings = standing_settings(home)
        report, phases = uvloop.run(overload(settings, factor, seconds, connections, first, console))
    out.mkdir(parents=True, exist_ok=True)
    (out / "overload.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    write_plot(out / "overload.png", phases, report.peak)
    Console().print(table_of(report))


if __name__ == "__main__":
    typer.run(main)
