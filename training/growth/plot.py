"""The plot of a growth run: time and memory against transactions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.growth.measure import Growth

LIMIT_GIB: Final = 8
"""What all processes together must stay under at 20 million transactions."""


def write_plot(path: Path, found: Sequence[Growth]) -> None:
    """Write a PNG: minutes of each step, one upon the other, and the memory of all processes."""
    found = sorted(found, key=lambda one: one.transactions)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    time, memory = figure.subplots(1, 2)
    _time(time, found)
    _memory(memory, found)
    for panel in (time, memory):
        panel.set_xlabel("transactions, millions")
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
    figure.savefig(path, dpi=110)


def _time(panel: Axes, found: Sequence[Growth]) -> None:
    millions = [one.transactions / 1e6 for one in found]
    steps = [name for name in found[-1].steps if name != "simulate"]
    minutes = [[one.steps[name].seconds / 60 for one in found] for name in steps]
    panel.stackplot(millions, minutes, labels=steps, alpha=0.8)
    panel.set_ylabel("minutes, history to registered version")
    panel.legend(loc="upper left", fontsize="small", reverse=True)


def _memory(panel: Axes, found: Sequence[Growth]) -> None:
    millions = [one.transactions / 1e6 for one in found]
    for name in found[-1].steps:
        panel.plot(millions, [one.steps[name].peak_mib / 1024 for one in found], marker="o", label=name)
    panel.axhline(LIMIT_GIB, color="grey", linestyle="--", label="limit")
    panel.set_ylabel("GiB of all processes at most (PSS)")
    panel.legend(fontsize="small")
