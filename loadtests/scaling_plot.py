"""The plot of a scaling run: replicas, rate and latency over time, with the steps of the load."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from loadtests.scaling_samples import Second
from loadtests.stages import Stage

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito (2008): told apart with every kind of colour vision."""
OFFSET: Final = 0.03
"""Lines of deployments with as many replicas lie beside each other, not on each other."""


def write_plot(path: Path, seconds: Sequence[Second], stages: Sequence[Stage], title: str) -> None:
    """Write a PNG with three panels over one time axis."""
    figure = Figure(figsize=(10, 9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(3, 1, sharex=True)
    figure.suptitle(title)
    _replicas(panels[0], seconds)
    times = [second.time_s for second in seconds]
    panels[1].plot(times, [_value(second.requests_per_s) for second in seconds], color=COLOURS[0])
    panels[1].set_ylabel("requests/s")
    panels[1].set_ylim(bottom=0)
    for name, colour, values in (
        ("p50", COLOURS[0], [_value(second.p50_ms) for second in seconds]),
        ("p99", COLOURS[1], [_value(second.p99_ms) for second in seconds]),
    ):
        panels[2].plot(times, values, color=colour, label=name)
    panels[2].set_yscale("log")
    panels[2].set_ylabel("latency in ms (last 10 s)")
    panels[2].set_xlabel("seconds")
    panels[2].legend(loc="upper right")
    _mark(panels, seconds, stages)
    figure.savefig(path, dpi=110)


def _replicas(panel: Axes, seconds: Sequence[Second]) -> None:
    names = sorted({name for second in seconds for name in second.replicas})
    times = [second.time_s for second in seconds]
    for number, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
        shift = (number - (len(names) - 1) / 2) * OFFSET
        running = [second.replicas.get(name, (0, 0))[0] + shift for second in seconds]
        panel.step(times, running, where="post", color=colour, label=name, linewidth=2)
    most = max((count for second in seconds for count, _ in second.replicas.values()), default=1)
    panel.set_yticks(range(most + 2))
    panel.set_ylim(0.5, most + 0.8)
    panel.set_ylabel("replicas that run")
    panel.legend(loc="upper right", ncols=3, fontsize="small")


def _mark(panels: Sequence[Axes], seconds: Sequence[Second], stages: Sequence[Stage]) -> None:
    """Draw a line where each stage of the load begins, and write its users beside it."""
    began_s = next((second.time_s for second in seconds if second.users), 0.0)
    ends = list(accumulate(stage.duration_s for stage in stages))
    for begin, stage in zip([0.0, *ends[:-1]], stages, strict=True):
        for panel in panels:
            panel.axvline(began_s + begin, color="0.6", linestyle=":", linewidth=1)
        panels[0].text(
            began_s + begin,
            1.01,
            f" {stage.users} users",
            transform=panels[0].get_xaxis_transform(),
            fontsize="small",
            verticalalignment="bottom",
        )


def _value(value: float | None) -> float:
    return float("nan") if value is None else value
