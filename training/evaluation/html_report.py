"""The result of an evaluation as one HTML page that needs nothing beside it."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.evaluation.plots import plots
from training.evaluation.results import EvaluationResult
from training.evaluation.terminal import SCORE_WORDS, interval_words, metric_words, published_sizes, shown
from training.evaluation.threshold_words import assumptions, favouring, major, marks

TEMPLATE: Final = "report.html.j2"
_SLICED: Final = (
    *("roc_auc", "average_precision", "card_precision", "recall_at_fpr"),
    *("precision", "recall", "brier", "calibration_error"),
)
"""Metrics that are shown of each slice."""


def html_report(result: EvaluationResult) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("training.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown_by_name, "interval": interval_by_name, "major": major, "marks": marks}
    return environment.get_template(TEMPLATE).render(
        result=result,
        subject=result.subject,
        settings=result.settings,
        metric_words=metric_words(result.settings),
        sliced=_SLICED,
        score_words=SCORE_WORDS,
        assumptions=assumptions(result.settings.costs),
        favouring=favouring(result.settings.costs),
        plots=plots(result),
        published_sizes=published_sizes(result) if result.published else "",
    )


def shown_by_name(metrics: object, name: str) -> str:
    """Return the figure of a metric as it is written."""
    return shown(name, getattr(metrics, name).value)


def interval_by_name(metrics: object, name: str) -> str:
    """Return the interval of a metric as it is written."""
    return interval_words(name, getattr(metrics, name))
