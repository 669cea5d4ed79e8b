"""The plot of an overload: what was offered, accepted and refused each second, and how long it took."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from loadtests.open_loop import Second

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#999999")
"""Okabe and Ito (2008): told apart with every kind of colour vision."""


class Stretch(Protocol):
    """What is drawn of a phase."""

    @property
    def name(self) -> str:
        """What the phase is called."""

    @property
    def seconds(self) -> list[Second]:
        """What became of each second."""


def write_plot(path: Path, phases: Sequence[Stretch], peak: float) -> None:
    """Write a PNG with two panels over one time axis."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    FigureCanvasAgg(figure)
    rates, latencies = figure.subplots(2, 1, sharex=True)
    seconds = [second for phase in phases for second in phase.seconds]
    times = range(len(seconds))
    for name, colour, values in (
        ("offered", COLOURS[3], [second.due - second.not_sent for second in seconds]),
        ("accepted", COLOURS[2], [second.accepted for second in seconds]),
        ("503 with Retry-After", COLOURS[1], [second.refused for second in seconds]),
    ):
        rates.step(times, values, where="post", color=colour, label=name, linewidth=2)
    rates.axhline(peak, color="0.3", linestyle=":", linewidth=1, label="peak")
    rates.set_ylabel("requests/s, by the second they were due")
    rates.set_ylim(bottom=0)
    rates.legend(loc="upper right")
    for name, colour, lists in (
        ("p99 of the accepted", COLOURS[2], [second.latencies_s for second in seconds]),
        ("p99 of the refused", COLOURS[1], [second.refusals_s for second in seconds]),
    ):
        latencies.step(times, [_p99_ms(values) for values in lists], where="post", color=colour, label=name)
    latencies.set_yscale("log")
    latencies.set_ylabel("ms")
    latencies.set_xlabel("seconds")
    latencies.legend(loc="upper right")
    begin = 0
    for phase in phases:
        rates.text(begin, 1.01, f" {phase.name}", transform=rates.get_xaxis_transform(), fontsize="small")
        begin += len(phase.seconds)
    figure.savefig(path, dpi=110)


def _p99_ms(values: Sequence[float]) -> float:
    if not values:
        return float("nan")
    ordered = sorted(values)
    return 1e3 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
