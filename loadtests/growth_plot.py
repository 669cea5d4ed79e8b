"""The plot of a growth run: one panel a question, sizes on a logarithmic axis, spread as bars."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from loadtests.growth_measures import Measure, series

PANELS: Final = (
    ("history", "us", "events an entity", "time a transaction, us"),
    ("history", "bytes", "events an entity", "bytes an entity"),
    ("batch", "us a call", "transactions a micro-batch", "time a call, us"),
    ("features", "us a call", "features", "time a call, us"),
    ("entities", "us", "customers", "time a transaction, us"),
    ("entities", "bytes", "customers", "bytes an entity"),
    ("replicas", "/s", "ingress replicas", "decisions/s"),
)
"""Section, unit, and the words on the axes. Units are compared as a whole."""
COLUMNS: Final = 2


def write_plot(path: Path, measures: Sequence[Measure], title: str) -> None:
    """Write a PNG with a panel for each question that was measured."""
    panels = [panel for panel in PANELS if any(m.section == panel[0] and m.unit == panel[1] for m in measures)]
    rows = max(1, -(-len(panels) // COLUMNS))
    figure = Figure(figsize=(11, 3.4 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for (section, unit, x_label, y_label), panel in zip(panels, axes, strict=False):
        for name, found in series(measures, section).items():
            if found[0].unit == unit:
                _line(panel, name, found)
        panel.set_xlabel(x_label)
        panel.set_ylabel(y_label)
        panel.set_xscale("log")
        if section == "replicas":
            panel.set_ylim(bottom=0)
        else:
            # Whole decades, so that noise does not fill the panel.
            panel.set_yscale("log")
            low, high = panel.get_ylim()
            panel.set_ylim(10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high)))
        panel.set_xticks(sizes := sorted({m.size for m in measures if m.section == section}))
        panel.set_xticklabels([f"{size:,}" for size in sizes])
        panel.minorticks_off()
        panel.legend(fontsize="small")
    for unused in list(figure.axes)[len(panels) :]:
        unused.remove()
    figure.savefig(path, dpi=110)


def _line(panel: Axes, name: str, found: Sequence[Measure]) -> None:
    middle = [one.median for one in found]
    spread = [
        [one.median - one.lowest for one in found],
        [one.highest - one.median for one in found],
    ]
    panel.errorbar([one.size for one in found], middle, yerr=spread, marker="o", capsize=3, label=name)
