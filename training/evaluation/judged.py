"""A fold that was judged: its rows, the scores that they got, and what was trained for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from features.formulas import Matrix
from features.transaction import Int64s
from training.bundle import Bundle
from training.evaluation.held_out import HeldOut
from training.evaluation.protocols import Fold
from training.metrics import ScoreMetrics, score_metrics
from training.models import Floats

EXPLAINED_ROWS: Final = 5_000
"""Rows that importances are averaged over: enough for two digits, and a second of explaining."""

Importance = Mapping[str, float]
"""Feature to the mean absolute log-odds that it adds."""


@dataclass(frozen=True, slots=True, eq=False)
class JudgedFold:
    """The test of one fold.

    Attributes:
        fold: its periods.
        rows: the judged payments.
        scores: "lr", "xgb" and "ensemble" to probabilities (n,).
        importance: score to the importance of each feature.
        train_rows, train_frauds: labelled rows that the models were trained on, and the frauds among them.
        left_out: rows of the test period that were not judged, as their customers were known as defrauded.
    """

    fold: Fold
    rows: HeldOut
    scores: Mapping[str, Floats]
    importance: Mapping[str, Importance]
    train_rows: int
    train_frauds: int
    left_out: int

    def metrics(self, threshold: float) -> dict[str, ScoreMetrics]:
        """Return the metrics of each score at a threshold, without intervals."""
        labels = self.rows.labels
        return {name: score_metrics(labels, scores, threshold) for name, scores in self.scores.items()}

    def within(self, grouping: str, name: str) -> "JudgedFold":
        """Return the same for the rows of one group alone."""
        chosen = self.rows.groupings[grouping].rows(name)
        scores = {score: values[chosen] for score, values in self.scores.items()}
        return replace(self, rows=self.rows.take(chosen), scores=scores)


def bundle_scores(bundle: Bundle, matrix: Matrix) -> dict[str, Floats]:
    """Return the scores (n,) float64 of a feature matrix under "lr", "xgb" and "ensemble"."""
    scores = bundle.score(matrix)
    return {"lr": scores.lr, "xgb": np.asarray(scores.xgb, np.float64), "ensemble": scores.ensemble}


def concatenated(blocks: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Return the scores of the rows of all blocks."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def bundle_importance(bundle: Bundle, matrix: Matrix) -> dict[str, Importance]:
    """Return for each score the mean absolute log-odds that each feature adds, over the rows of a matrix."""
    explained = {
        "lr": bundle.lr.contributions(matrix),
        "xgb": bundle.xgb.contributions(matrix),
        "ensemble": bundle.contributions(matrix),
    }
    names = bundle.manifest.feature_names
    return {score: mean_contribution(names, added) for score, added in explained.items()}


def mean_contribution(names: tuple[str, ...], added: Matrix) -> Importance:
    """Return feature to the mean of |log-odds| (n, d), the largest first."""
    means = np.abs(added).mean(axis=0) if len(added) else np.zeros(len(names))
    order = np.argsort(-means, kind="stable")
    return {names[position]: float(means[position]) for position in order.tolist()}


def some_rows(rows: int, seed: int = 0) -> Int64s:
    """Return up to ``EXPLAINED_ROWS`` indices of ``rows``, drawn without replacement, ascending."""
    if rows <= EXPLAINED_ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, EXPLAINED_ROWS, replace=False))
