"""What a training run leaves: a report to read, and the same as data."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table

from training.bundle import EnsembleWeights, Thresholds
from training.fit import FitFacts
from training.metrics import ScoreMetrics
from training.registry import RegisteredVersion
from training.split import PartCounts, Split
from training.thresholds import ChosenThresholds


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What a training run did.

    Attributes:
        version: what was registered; alias: what names it now, None when it was not promoted.
        split: the periods; counts: part of the split ("train", "validation", "test") to its rows.
        metrics: "lr", "xgb", "ensemble" to metrics on the test period.
        best_f1_threshold: of the ensemble on the validation period; a hint, the bundle keeps its thresholds.
        by_cost: the thresholds of least cost on the validation period; a hint, too, unless they were applied.
        thresholds: of the bundle.
        ensemble: weights of the two models.
        facts: how the fit went.
        durations_s: step to seconds.
        against: why it was not promoted although it was to be; "" otherwise.
        late_labels: how many frauds were not known yet as the test began; None: none.
    """

    version: RegisteredVersion
    alias: str | None
    split: Split
    counts: Mapping[str, PartCounts]
    metrics: Mapping[str, ScoreMetrics]
    best_f1_threshold: float
    by_cost: ChosenThresholds
    thresholds: Thresholds
    ensemble: EnsembleWeights
    facts: FitFacts
    durations_s: Mapping[str, float]
    against: str = ""
    late_labels: str | None = None

    def to_json(self) -> str:
        """Return the version, the version of its data, and its metrics on the test period, as JSON text."""
        figures = {
            "version": self.version.version,
            "data_sha256": self.version.tags["data_sha256"],
            "test": {score: metrics.as_floats() for score, metrics in self.metrics.items()},
        }
        return json.dumps(figures, indent=1)

    def __rich__(self) -> RenderableType:
        """Return the report as tables and sentences."""
        alias = f", now {self.alias!r}" if self.alias else ", not promoted"
        if self.against:
            command = f"tollgate models promote {self.version.version}"
            alias += f": {self.against}. `{command}` judges again on a --history, or takes --force and a --reason"
        steps = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.durations_s.items())
        logistic = f"{self.facts.lr_iterations} iterations of Newton's method, {self.facts.lr_steps} steps"
        if not self.facts.lr_converged:
            logistic += " WITHOUT convergence"
        return Group(
            self._periods(),
            self._scores(),
            f"Logistic regression: {logistic}; boosted trees: {self.facts.xgb_rounds};"
            f" ensemble: {self.ensemble.lr:g} lr + {self.ensemble.xgb:g} xgb.",
            f"Highest F1 on the validation period at an ensemble threshold of {self.best_f1_threshold:.2f}.",
            self._cheapest(),
            f"Took {sum(self.durations_s.values()):.0f} s: {steps}.",
            f"Registered as version {self.version.version} of {self.version.name!r}{alias}.",
        )

    def _cheapest(self) -> str:
        choice, kept = self.by_cost.choice, self.thresholds
        applied = (
            "The bundle has these thresholds."
            if self.by_cost.thresholds == kept
            else f"The bundle has {kept.review:g} and {kept.block:g} (--apply-thresholds takes the cheapest)."
        )
        return (
            f"Cheapest on the validation period, recall favoured: review above {choice.review:g}, block above"
            f" {choice.block:g}; recall {choice.recall:.2f}, at most {choice.most_reviews_a_day:,} reviews a day."
            f" {applied}"
        )

    def _periods(self) -> Table:
        table = Table("period", "from", "until", title="Split in time", title_justify="left")
        for column in ("labelled rows", "frauds", "no label"):
            table.add_column(column, justify="right")
        for name, period in self.split.periods().items():
            part = self.counts.get(name)
            cells = (f"{part.labelled:,}", f"{part.frauds:,}", f"{part.unlabelled:,}") if part else ()
            label = name.replace("_", "-")
            table.add_row(label, f"{period.since:%Y-%m-%d}", f"{period.until:%Y-%m-%d}", *cells)
        return table

    def _scores(self) -> Table:
        threshold = self.metrics["ensemble"].threshold
        table = Table("score", title=f"Test period (threshold {threshold:g})", title_justify="left")
        columns = {
            "ROC AUC": "roc_auc",
            "AP": "average_precision",
            "precision": "precision",
            "recall": "recall",
            "F1": "f1",
            "Brier": "brier",
        }
        for column in columns:
            table.add_column(column, justify="right")
        for name, metrics in self.metrics.items():
            table.add_row(name, *(f"{getattr(metrics, attribute):.4f}" for attribute in columns.values()))
        return table
