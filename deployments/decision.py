"""From scores and rules to decisions: pure, a whole batch at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from deployments.rules import CompiledRule, where_rules_fire
from deployments.settings import Thresholds, Weights
from features.formulas import Matrix
from features.transaction import TransactionBatch
from training.registry import Calibration

Scores = npt.NDArray[np.float64]
Fired = list[tuple[CompiledRule, npt.NDArray[np.bool_]]]
"""Rules that fired, each with the rows (n,) where it did."""


class Decision(IntEnum):
    """What happens to the payment, from mild to strict."""

    APPROVE = 0
    REVIEW = 1
    BLOCK = 2


DECISION_NAMES: Final = tuple(decision.name for decision in Decision)


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason code: where it comes from, its code, and its words."""

    source: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """Of a row that was decided before: what then held for its whole batch."""

    model_version: str
    degraded: tuple[str, ...]


@dataclass(slots=True)
class Decisions:
    """Decisions of a batch of n transactions, as columns.

    Attributes:
        probability: (n,) of the ensemble, calibrated; NaN where no model answered.
        lr, xgb: (n,) score of each model; NaN where it did not answer.
        decision: (n,) int8, values of :class:`Decision`.
        is_fraud: (n,) bool: a blocking rule fired, or the probability reached the fraud threshold.
        rules: ids of the rules that fired, for the rows where any did.
        reasons: reason codes, for the rows that are not approved.
        model_version: of the bundle that scored the batch, "" where none did.
        degraded: what was missing, by name; empty when all parts answered.
        features: the feature matrix (n, features), when it was asked for.
        earlier: rows that are retries of what was decided before; their columns hold that decision.
        conflicts: rows that are not decided, since their id stands for another body; the fields that differ.
    """

    probability: Scores
    lr: Scores
    xgb: Scores
    decision: npt.NDArray[np.int8]
    is_fraud: npt.NDArray[np.bool_]
    rules: dict[int, list[str]]
    model_version: str
    degraded: tuple[str, ...] = ()
    reasons: dict[int, list[Reason]] = field(default_factory=dict)
    features: Matrix | None = None
    earlier: dict[int, Earlier] = field(default_factory=dict)
    conflicts: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def take(self, rows: Sequence[int]) -> "Decisions":
        """Return the decisions on the given rows, in the given order."""
        return Decisions(
            probability=self.probability[rows],
            lr=self.lr[rows],
            xgb=self.xgb[rows],
            decision=self.decision[rows],
            is_fraud=self.is_fraud[rows],
            rules=_taken(self.rules, rows),
            model_version=self.model_version,
            degraded=self.degraded,
            reasons=_taken(self.reasons, rows),
            features=None if self.features is None else self.features[rows],
            earlier=_taken(self.earlier, rows),
            conflicts=_taken(self.conflicts, rows),
        )


Value = TypeVar("Value")


def _taken(values: Mapping[int, Value], rows: Sequence[int]) -> dict[int, Value]:
    return {at: values[row] for at, row in enumerate(rows) if row in values}


def ensemble(lr: Scores, xgb: Scores, weights: Weights) -> Scores:
    """Return the weighted mean (n,) of the scores; a missing score (NaN) leaves the other alone.

    >>> ensemble(np.array([0.2, np.nan]), np.array([0.4, 0.4]), Weights()).tolist()
    [0.30000000000000004, 0.4]
    """
    total = weights.lr + weights.xgb
    # The shares first: the product of a tiny weight and a score would lose the score.
    mean = np.minimum(weights.lr / total * lr + weights.xgb / total * xgb, 1.0)
    missing = np.isnan(mean)
    # Also where the only model that answered has weight 0: its score is still better than none.
    return np.where(missing, np.where(np.isnan(lr), xgb, lr), mean) if missing.any() else mean


def fired_rules(rules: tuple[CompiledRule, ...], matrix: Matrix, batch: TransactionBatch) -> Fired:
    """Return the rules that fire anywhere in a batch, each with the rows (n,) bool where it does."""
    evaluated = zip(rules, where_rules_fire(rules, matrix, batch), strict=True)
    return [(rule, rows) for rule, rows in evaluated if rows.any()]


def decide(
    lr: Scores,
    xgb: Scores,
    weights: Weights,
    thresholds: Thresholds,
    fired: Fired,
    model_version: str,
    degraded: tuple[str, ...],
    calibration: Calibration | None = None,
) -> Decisions:
    """Return the decisions of a batch: tiers on the ensemble's probability, raised by the rules that fired.

    Args:
        calibration: of the bundle; None: the weighted mean is the probability.
    """
    probability = ensemble(lr, xgb, weights)
    if calibration is not None:
        probability = calibration.apply(probability)
    # A comparison with NaN is False: without a model, rules alone decide.
    decision = ((probability > thresholds.review).astype(np.int8)) + (probability > thresholds.block)
    is_fraud = probability >= thresholds.fraud
    ids: dict[int, list[str]] = {}
    for rule, fires in fired:
        decision = np.where(fires, np.maximum(decision, Decision[rule.action]), decision)
        if rule.action == "BLOCK":
            is_fraud = is_fraud | fires
        for row in np.flatnonzero(fires).tolist():
            ids.setdefault(row, []).append(rule.id)
    return Decisions(probability, lr, xgb, decision.astype(np.int8), is_fraud, ids, model_version, degraded)
