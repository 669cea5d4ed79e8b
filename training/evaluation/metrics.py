"""All metrics of a score on held-out rows: as values under weightings of the customers, and as estimates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.costs import MINOR_UNITS, Costs
from training.evaluation.bootstrap import Estimate, Metrics, estimates
from training.evaluation.card_precision import card_days, card_precision_by_day
from training.evaluation.decision_cost import cost_minor, f1, flagged, precision, recall, savings
from training.evaluation.held_out import HeldOut
from training.evaluation.probability import brier, calibration_error
from training.evaluation.ranking import average_precision, fraud_ranks, recall_at_fpr, roc_auc
from training.models import Floats, Probabilities


class MetricSettings(BaseModel):
    """What the metrics depend on beside rows and scores.

    Attributes:
        threshold: of the score at or above which a payment is flagged.
        top_k: customers that investigators can look at a day.
        false_positive_rate: at which recall is read.
        costs: what decisions cost, and how many reviews there can be; assumptions of the reader.
        replicates: bootstrap samples; seed: of their drawing; level: of the intervals.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(0.5, ge=0, le=1)
    top_k: int = Field(100, ge=1)
    false_positive_rate: float = Field(0.01, gt=0, lt=1)
    costs: Costs = Costs()
    replicates: int = Field(500, ge=0, le=10_000)
    seed: int = 0
    level: float = Field(0.95, gt=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_cards(cls, given: Any) -> Any:
        """Take the cost of a review from where the model cards of earlier versions hold it."""
        if not isinstance(given, dict) or "review_cost_minor" not in given:
            return given
        others = {name: value for name, value in given.items() if name != "review_cost_minor"}
        return {**others, "costs": {"review_minor": given["review_cost_minor"]}}


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The metrics of one score on one set of rows.

    Attributes:
        roc_auc, average_precision: of the ranking.
        card_precision: at ``top_k`` customers a day, mean over the days.
        recall_at_fpr: at the stated false-positive rate.
        precision, recall, f1: at the threshold.
        brier, calibration_error: of the probability.
        cost: of missed frauds and reviews at the threshold, in major units; savings: share of the loss without a
            model that is saved.
    """

    roc_auc: Estimate
    average_precision: Estimate
    card_precision: Estimate
    recall_at_fpr: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    brier: Estimate
    calibration_error: Estimate
    cost: Estimate
    savings: Estimate


METRIC_NAMES: Final = tuple(field.name for field in fields(Evaluated))


def evaluate_scores(parts: Sequence[tuple[HeldOut, Probabilities]], settings: MetricSettings) -> Evaluated:
    """Return the metrics of a score: the mean over the folds of a protocol, with intervals by customer.

    Args:
        parts: of each fold the rows and their scores; the folds share the codes of the customers.
        settings: threshold and the like.
    """
    return _estimated(_mean_over(parts, settings), parts[0][0].customers, settings)


def compare_scores(
    first: Sequence[tuple[HeldOut, Probabilities]],
    second: Sequence[tuple[HeldOut, Probabilities]],
    settings: MetricSettings,
) -> Evaluated:
    """Return the metrics of the first score less those of the second on the same rows, with intervals.

    Paired: both are judged on the same samples of customers, so the interval is narrower than those of the two
    apart. Where it leaves 0 out, the difference is more than noise.

    Args:
        first, second: as :func:`evaluate_scores`.
    """
    one, other = _mean_over(first, settings), _mean_over(second, settings)

    def difference(weights: Floats) -> Metrics:
        minuend, subtrahend = one(weights), other(weights)
        return {name: minuend[name] - subtrahend[name] for name in METRIC_NAMES}

    return _estimated(difference, first[0][0].customers, settings)


def _mean_over(
    parts: Sequence[tuple[HeldOut, Probabilities]], settings: MetricSettings
) -> Callable[[Floats], Metrics]:
    """Return the function from weights (customers, r) to the mean of each metric over some folds (r,)."""
    computed = [metric_values(rows, scores, settings) for rows, scores in parts]

    def mean(weights: Floats) -> Metrics:
        values = [compute(weights) for compute in computed]
        return {name: _mean_of_defined(np.stack([one[name] for one in values])) for name in METRIC_NAMES}

    return mean


def _estimated(metrics: Callable[[Floats], Metrics], customers: int, settings: MetricSettings) -> Evaluated:
    found = estimates(
        metrics,
        customers,
        replicates=settings.replicates,
        level=settings.level,
        seed=settings.seed,
    )
    return Evaluated(**found)


def metric_values(
    rows: HeldOut, scores: Probabilities, settings: MetricSettings
) -> Callable[[Floats], dict[str, Floats]]:
    """Return the function from weights (customers, r) to each of ``METRIC_NAMES`` (r,).

    Args:
        rows: n held-out payments.
        scores: (n,) probabilities.
    """
    labels, customer = rows.labels, rows.customer
    cards = card_days(rows.day, customer, labels, scores)

    def compute(weights: Floats) -> dict[str, Floats]:
        ranks = fraud_ranks(labels, scores, customer, weights)
        outcome = flagged(labels, scores, rows.amount_minor, customer, weights, settings.threshold)
        return {
            "roc_auc": roc_auc(ranks),
            "average_precision": average_precision(ranks),
            "card_precision": card_precision_by_day(cards, settings.top_k, weights).mean(axis=0),
            "recall_at_fpr": recall_at_fpr(ranks, settings.false_positive_rate),
            "precision": precision(outcome),
            "recall": recall(outcome),
            "f1": f1(outcome),
            "brier": brier(labels, scores, customer, weights),
            "calibration_error": calibration_error(labels, scores, customer, weights),
            "cost": cost_minor(outcome, settings.costs) / MINOR_UNITS,
            "savings": savings(outcome, settings.costs),
        }

    return compute


def _mean_of_defined(values: Floats) -> Floats:
    """Return the mean (r,) of values (folds, r) over those that are defined; NaN where none is."""
    defined = ~np.isnan(values)
    total, count = np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0)
    mean: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return mean
