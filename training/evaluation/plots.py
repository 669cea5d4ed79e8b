"""The plots of an evaluation, as SVG that a page can hold."""

import base64
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluation.results import EvaluationResult, ScoreCurves
from training.evaluation.terminal import SCORE_WORDS

COLOURS: Final = {"lr": "#0072b2", "xgb": "#d55e00", "ensemble": "#009e73"}
"""Told apart by the colour-blind as well (Okabe and Ito, 2008)."""
IMPORTANT: Final = 15
"""Features shown."""
_SIZE: Final = (5.6, 4.0)


def plots(result: EvaluationResult) -> Mapping[str, str]:
    """Return title to plot, each a ``data:`` address of an SVG image."""
    return {title: _image(draw, result) for title, draw in _PLOTS.items()}


def _image(draw: Callable[[Axes, EvaluationResult], None], result: EvaluationResult) -> str:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.grid(visible=True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes, result)
    buffer = io.BytesIO()
    # Without a date, the same result gives the same file.
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def _each(result: EvaluationResult) -> Iterator[tuple[ScoreCurves, str, str]]:
    for score, curves in result.curves.items():
        yield curves, SCORE_WORDS[score], COLOURS[score]


def _precision_recall(axes: Axes, result: EvaluationResult) -> None:
    for curves, words, colour in _each(result):
        axes.plot(curves.precision_recall.x, curves.precision_recall.y, color=colour, label=words)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()


def _roc(axes: Axes, result: EvaluationResult) -> None:
    for curves, words, colour in _each(result):
        axes.plot(curves.roc.x, curves.roc.y, color=colour, label=words)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="chance")
    axes.axvline(result.settings.false_positive_rate, color="grey", linewidth=0.8)
    axes.set(xlabel="false-positive rate", ylabel="recall", xlim=(-0.01, 1), ylim=(0, 1.02))
    axes.legend()


def _reliability(axes: Axes, result: EvaluationResult) -> None:
    for curves, words, colour in _each(result):
        axes.plot(curves.reliability.x, curves.reliability.y, color=colour, marker="o", label=words)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    axes.set(xlabel="mean score of the bin", ylabel="share of frauds", xlim=(0, 1), ylim=(0, 1.02))
    axes.legend()


def _distributions(axes: Axes, result: EvaluationResult) -> None:
    curves = result.curves["ensemble"]
    axes.stairs(curves.genuine, curves.edges, color="grey", label="genuine")
    axes.stairs(curves.fraud, curves.edges, color=COLOURS["xgb"], fill=True, alpha=0.6, label="fraud")
    axes.axvline(result.settings.threshold, color="black", linewidth=0.8, label="threshold")
    axes.set(xlabel="score of the ensemble", ylabel="payments", yscale="log")
    axes.legend()


def _card_precision(axes: Axes, result: EvaluationResult) -> None:
    days = [f"{one.day:%m-%d}" for one in result.card_days]
    for score, colour in COLOURS.items():
        values = [one.precision[score] for one in result.card_days]
        axes.plot(range(len(days)), values, color=colour, marker="o", label=SCORE_WORDS[score])
    every = -(-len(days) // 14)
    axes.set_xticks(range(0, len(days), every), days[::every], rotation=45)
    axes.set(ylabel=f"precision among {result.settings.top_k} customers a day")
    axes.set_ylim(bottom=0)
    axes.legend()


def _cost(axes: Axes, result: EvaluationResult) -> None:
    for curves, words, colour in _each(result):
        axes.plot(curves.cost.x, curves.cost.y, color=colour, label=words)
    axes.axvline(result.settings.threshold, color="black", linewidth=0.8)
    axes.set(xlabel="threshold", ylabel="missed frauds and reviews, major units", xlim=(0, 1))
    axes.set_ylim(bottom=0)
    axes.legend()


def _importance(axes: Axes, result: EvaluationResult) -> None:
    names = list(result.importance["ensemble"])[:IMPORTANT]
    places = range(len(names))
    for shift, score in ((-0.2, "lr"), (0.2, "xgb")):
        values = [result.importance[score][name] for name in names]
        positions = [place + shift for place in places]
        axes.barh(positions, values, height=0.38, color=COLOURS[score], label=SCORE_WORDS[score])
    axes.set_yticks(places, names, fontsize="small")
    axes.invert_yaxis()
    axes.set(xlabel="mean absolute log-odds that the feature adds")
    axes.legend()


_PLOTS: Final[Mapping[str, Callable[[Axes, EvaluationResult], None]]] = {
    "Precision and recall": _precision_recall,
    "ROC": _roc,
    "Reliability": _reliability,
    "Distribution of the score": _distributions,
    "Card precision over days": _card_precision,
    "Cost by threshold": _cost,
    "Feature importance": _importance,
}
