"""The picture: throughput, p50, p99, and Tollgate's ratio, each against the number of connections."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from loadtests.compare.figures import Measurement, Spread, p50_ms, p99_ms, pick, rate, ratios, spread
from loadtests.compare.report import Result
from loadtests.compare.systems import REFERENCE


def write_plot(result: Result, path: Path) -> None:
    """Write a PNG of medians; bars reach from the lowest to the highest value."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator

    def of(value: Callable[[Measurement], float]) -> Callable[[list[Measurement], int], Spread | None]:
        return lambda own, _: spread([value(m) for m in own if m.sample])

    def ratio(own: list[Measurement], connections: int) -> Spread | None:
        return ratios(pick(result.measurements, REFERENCE, connections), own, rate)

    panels: tuple[tuple[str, Callable[[list[Measurement], int], Spread | None]], ...] = (
        ("decisions a second", of(rate)),
        ("Tollgate single / system, decisions a second", ratio),
        ("p50, ms", of(p50_ms)),
        ("p99, ms", of(p99_ms)),
    )
    figure, axes = pyplot.subplots(2, 2, figsize=(13, 9), layout="constrained")
    for (title, points), axis in zip(panels, axes.flat, strict=True):
        for number, system in enumerate(result.systems):
            _line(axis, result, system.name, system.title, number, points)
        axis.set(title=title, xlabel="connections", xscale="log", yscale="log")
        axis.set_xticks(result.levels, [str(level) for level in result.levels])
        axis.minorticks_off()
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axis.grid(alpha=0.3)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small")
    machine = result.facts["machine"]
    figure.suptitle(f"{machine['cores']} cores, client on the same machine; medians, lowest to highest")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _line(
    axis: Any,
    result: Result,
    name: str,
    title: str,
    number: int,
    points: Callable[[list[Measurement], int], Spread | None],
) -> None:
    found = [
        (level, point)
        for level in result.levels
        if (own := pick(result.measurements, name, level)) and (point := points(own, level))
    ]
    if not found:
        return
    medians = [point.median for _, point in found]
    reach = [
        [point.median - point.lowest for _, point in found],
        [point.highest - point.median for _, point in found],
    ]
    levels = [level for level, _ in found]
    style = (
        {"linewidth": 2.5}
        if name == REFERENCE
        else {"linewidth": 1.2, "linestyle": ("-", "--", ":")[number // 10]}
    )
    axis.errorbar(
        levels, medians, reach, label=title, color=f"C{number % 10}", marker="o", markersize=4, capsize=3, **style
    )
