"""The result of an evaluation as tables in the terminal."""

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from training.evaluation.bootstrap import Estimate
from training.evaluation.metrics import Evaluated, MetricSettings
from training.evaluation.results import EvaluationResult, FoldResult
from training.evaluation.threshold_words import thresholds_in_terminal

SCORE_WORDS: Final = {"lr": "logistic regression", "xgb": "XGBoost", "ensemble": "ensemble"}
_SLICED: Final = ("roc_auc", "average_precision", "card_precision", "precision", "recall", "calibration_error")


def metric_words(settings: MetricSettings) -> dict[str, str]:
    """Return metric to the words that head its column."""
    return {
        "roc_auc": "ROC AUC",
        "average_precision": "AP",
        "card_precision": f"CP@{settings.top_k}",
        "recall_at_fpr": f"recall at {settings.false_positive_rate:.2%} FPR",
        "precision": f"precision at {settings.threshold:g}",
        "recall": f"recall at {settings.threshold:g}",
        "f1": f"F1 at {settings.threshold:g}",
        "brier": "Brier",
        "calibration_error": "ECE",
        "cost": "cost",
        "savings": "savings",
    }


def shown(name: str, value: float) -> str:
    """Return a figure as it is written.

    >>> shown("average_precision", 0.7), shown("brier", 0.00251), shown("cost", 12345.6), shown("f1", float("nan"))
    ('0.700', '0.00251', '12,346', '-')
    """
    if value != value:
        return "-"
    if name == "cost":
        return f"{value:,.0f}"
    return f"{value:.5f}" if name in ("brier", "calibration_error") else f"{value:.3f}"


def interval_words(name: str, estimate: Estimate) -> str:
    """Return the interval of a figure in words."""
    return f"{shown(name, estimate.low)} to {shown(name, estimate.high)}"


def in_terminal(result: EvaluationResult) -> RenderableType:
    """Return an evaluation as tables: sizes, metrics with intervals, folds, slices, and the published figures."""
    return Group(*_parts(result))


def _parts(result: EvaluationResult) -> Iterator[RenderableType]:
    subject = result.subject
    yield Text(subject.title, "bold")
    yield Text(f"{subject.model}; {subject.features} features; history {subject.history}")
    yield _sizes(result)
    yield _metrics(result)
    yield thresholds_in_terminal(result.thresholds["ensemble"], result.settings.costs)
    if len(result.folds) > 1:
        yield _by_fold(result.folds)
    if result.slices:
        yield _slices(result)
    if result.published:
        yield _published(result)


def _sizes(result: EvaluationResult) -> Table:
    table = Table("test", "trained on", title="Periods", title_justify="left")
    for column in ("rows", "frauds", "judged", "frauds", "customers", "left out as known"):
        table.add_column(column, justify="right")
    for fold in result.folds:
        numbers = (fold.train_rows, fold.train_frauds, fold.rows, fold.frauds, fold.customers, fold.left_out)
        table.add_row(
            f"{fold.test.since:%Y-%m-%d} until {fold.test.until:%m-%d}",
            f"{fold.train.since:%Y-%m-%d} until {fold.train.until:%m-%d}",
            *(f"{number:,}" for number in numbers),
        )
    return table


def _metrics(result: EvaluationResult) -> Table:
    settings = result.settings
    folds = f", mean of {len(result.folds)} tests" if len(result.folds) > 1 else ""
    intervals = f"{settings.level:.0%} intervals, {settings.replicates} bootstrap samples of customers"
    table = Table("metric", title=f"Metrics{folds} ({intervals})", title_justify="left")
    for score in result.overall:
        table.add_column(SCORE_WORDS[score], justify="right")
    for name, words in metric_words(settings).items():
        estimates = [getattr(metrics, name) for metrics in result.overall.values()]
        table.add_row(words, *(f"{shown(name, e.value)} ({interval_words(name, e)})" for e in estimates))
    return table


def _by_fold(folds: tuple[FoldResult, ...]) -> Table:
    table = Table("test", title="Each test: AUC / AP / CP", title_justify="left")
    for score in folds[0].scores:
        table.add_column(SCORE_WORDS[score], justify="right")
    for fold in folds:
        table.add_row(fold.name, *(three_figures(metrics) for metrics in fold.scores.values()))
    return table


def three_figures(metrics: Evaluated) -> str:
    """Return the figures that the handbook publishes, as it writes them."""
    values = (metrics.roc_auc, metrics.average_precision, metrics.card_precision)
    return " / ".join(shown("", estimate.value).removeprefix("0") for estimate in values)


def _slices(result: EvaluationResult) -> Table:
    words = metric_words(result.settings)
    table = Table("slice", "", title="Slices (ensemble; intervals are in the report)", title_justify="left")
    for column in ("rows", "frauds", *(words[name] for name in _SLICED)):
        table.add_column(column, justify="right")
    for one in result.slices:
        metrics = one.scores["ensemble"]
        cells = [shown(name, getattr(metrics, name).value) for name in _SLICED]
        table.add_row(one.grouping, one.name, f"{one.rows:,}", f"{one.frauds:,}", *cells)
    return table


def _published(result: EvaluationResult) -> RenderableType:
    assert result.published is not None
    table = Table("score", title="Beside the published figures", title_justify="left")
    for column in ("metric", "here", "published", "difference"):
        table.add_column(column, justify="right")
    words = metric_words(result.settings)
    for score, metrics in result.published.metrics.items():
        for name, published in metrics.items():
            here = getattr(result.overall[score], name).value
            table.add_row(
                SCORE_WORDS[score],
                words[name],
                shown(name, here),
                shown(name, published),
                f"{here - published:+.4f}",
            )
    return Group(table, published_sizes(result))


def published_sizes(result: EvaluationResult) -> str:
    """Return a sentence on whether training and test have the published sizes."""
    assert result.published is not None
    asked, fold = result.published, result.folds[0]
    here = f"{fold.train_rows:,}/{fold.train_frauds:,} and {fold.rows:,}/{fold.frauds:,}"
    if result.has_published_sizes:
        return f"Training and test have the published sizes, {here} rows/frauds."
    return (
        f"Training and test have {here} rows/frauds; published are {asked.train_rows:,}/{asked.train_frauds:,} and"
        f" {asked.test_rows:,}/{asked.test_frauds:,}."
    )
