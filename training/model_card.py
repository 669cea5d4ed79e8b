"""The model card: what a version is, how good it was on days that it had not seen, and where not to trust it.

After Mitchell et al., "Model Cards for Model Reporting" (2019). It is made with every version, lies in its bundle
as ``card.json``, and is shown by GET /model and ``tollgate models show``.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from features.definitions import DAY_MS, LABEL_DELAY_MS
from training.bundle import Manifest, Period
from training.evaluation.metrics import Evaluated, MetricSettings
from training.evaluation.protocols import Fold
from training.evaluation.results import EvaluationResult, SliceResult
from training.evaluation.terminal import SCORE_WORDS, interval_words, metric_words, shown
from training.parameter_file import Tuned

FEW_FRAUDS: Final = 50
"""With fewer frauds in a slice its figures say little."""
DELAY_DAYS: Final = LABEL_DELAY_MS // DAY_MS
_SLICED: Final = ("roc_auc", "average_precision", "precision", "recall")


class CardSlice(BaseModel):
    """One group of payments of the test, judged by the ensemble."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grouping: str
    name: str
    rows: int
    frauds: int
    metrics: Evaluated


class ModelCard(BaseModel):
    """What is known of a version.

    Attributes:
        data: where the history came from, in words; periods: "train", "validation" and "test".
        protocol: how it was judged, in words.
        training_rows, training_frauds: labelled rows of the training period; test_rows, test_frauds: judged.
        fingerprint: of the feature definitions; features: their names.
        settings: of the metrics; metrics: "lr", "xgb" and "ensemble" to estimates with intervals.
        slices: of the ensemble. limits: where not to trust it, in sentences.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    created_at: datetime
    data: str
    periods: Mapping[str, Period]
    protocol: str
    training_rows: int
    training_frauds: int
    test_rows: int
    test_frauds: int
    fingerprint: str
    features: tuple[str, ...]
    settings: MetricSettings
    metrics: Mapping[str, Evaluated]
    slices: tuple[CardSlice, ...]
    limits: tuple[str, ...]


def model_card(manifest: Manifest, fold: Fold, result: EvaluationResult, tuned: Tuned | None = None) -> ModelCard:
    """Return the card of a bundle from its manifest and its evaluation on its test period.

    Args:
        tuned: how its parameters were found; None: they were chosen by hand, or are the defaults.
    """
    judged = result.folds[0]
    return ModelCard(
        created_at=manifest.created_at,
        data=manifest.data,
        periods={"train": fold.train, "validation": fold.validation, "test": fold.test},
        protocol=_protocol(fold),
        training_rows=manifest.training_rows,
        training_frauds=manifest.training_frauds,
        test_rows=judged.rows,
        test_frauds=judged.frauds,
        fingerprint=manifest.feature_fingerprint,
        features=manifest.feature_names,
        settings=result.settings,
        metrics=result.overall,
        slices=tuple(_slice(one) for one in result.slices),
        limits=tuple(_limits(manifest, fold, result, tuned)),
    )


def _protocol(fold: Fold) -> str:
    """Return in words how a fold divides time."""
    parts = ["trained", "weights and calibration on the validation period"]
    if fold.validation.until <= fold.train.since:
        parts.reverse()
    gap = fold.test.since - max(fold.train.until, fold.validation.until)
    parts += [f"a gap of {gap.days} days in which labels become known", "judged on the test period"]
    words = f"Split by time: {', then '.join(parts)}."
    return words if fold.known_since is None else f"{words} Customers known as defrauded are left out of it."


def card_in_terminal(card: ModelCard, version: str) -> RenderableType:
    """Return a card as tables and sentences."""
    periods = Table("period", "from", "until", title=f"Version {version}", title_justify="left")
    for name, period in card.periods.items():
        periods.add_row(name, f"{period.since:%Y-%m-%d}", f"{period.until:%Y-%m-%d}")
    sizes = (
        f"{card.data}; trained on {card.training_rows:,} payments with {card.training_frauds:,} frauds, judged on"
        f" {card.test_rows:,} with {card.test_frauds:,}. Features {card.fingerprint} ({len(card.features)})."
    )
    limits = [Text(f"- {limit}") for limit in card.limits]
    return Group(periods, Text(sizes), Text(card.protocol), _metrics(card), _slices(card), Text("Limits"), *limits)


def _metrics(card: ModelCard) -> Table:
    level = f"{card.settings.level:.0%} intervals by customer"
    table = Table("metric", title=f"Test period ({level})", title_justify="left")
    for score in card.metrics:
        table.add_column(SCORE_WORDS[score], justify="right")
    for name, words in metric_words(card.settings).items():
        estimates = [getattr(metrics, name) for metrics in card.metrics.values()]
        table.add_row(words, *(f"{shown(name, e.value)} ({interval_words(name, e)})" for e in estimates))
    return table


def _slices(card: ModelCard) -> Table:
    words = metric_words(card.settings)
    table = Table("slice", "", title="Slices (ensemble)", title_justify="left")
    for column in ("rows", "frauds", *(words[name] for name in _SLICED)):
        table.add_column(column, justify="right")
    for one in card.slices:
        cells = [shown(name, getattr(one.metrics, name).value) for name in _SLICED]
        table.add_row(one.grouping, one.name, f"{one.rows:,}", f"{one.frauds:,}", *cells)
    return table


def _slice(one: SliceResult) -> CardSlice:
    metrics = one.scores["ensemble"]
    return CardSlice(grouping=one.grouping, name=one.name, rows=one.rows, frauds=one.frauds, metrics=metrics)


def _limits(manifest: Manifest, fold: Fold, result: EvaluationResult, tuned: Tuned | None) -> Iterator[str]:
    days = (fold.test.until - fold.test.since).days
    yield f"Judged on one period of {days} days: another season, or another attack, may look otherwise."
    yield (
        f"Labels count in merchant risk {DELAY_DAYS} days after a payment at the earliest, so that a merchant who"
        " turns bad is seen later."
    )
    yield "Decisions without history (degraded: feature_store) are not part of these figures."
    if tuned is not None and (flattered := tuned.overlap(fold.test.since)):
        yield flattered
    few = [one for one in result.slices if one.frauds < FEW_FRAUDS]
    if few:
        names = ", ".join(f"{one.grouping} {one.name} ({one.frauds})" for one in few)
        yield f"Fewer than {FEW_FRAUDS} frauds, so that figures say little: {names}."
    if manifest.calibration is None:
        yield "Not calibrated, as the validation period had few frauds: the score is a probability only nearly."
    if manifest.training_frauds < 10 * FEW_FRAUDS:
        yield f"Trained on {manifest.training_frauds} frauds alone."
