"""How good decisions were, against the labels that came later."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from features.transaction import Int64s
from training.evaluation.ranking import ONE_WEIGHT, average_precision, fraud_ranks, one_customer, roc_auc
from training.models import Floats

Tier = Literal["APPROVE", "REVIEW", "BLOCK"]
TIERS: Final[tuple[Tier, ...]] = ("APPROVE", "REVIEW", "BLOCK")


@dataclass(frozen=True, slots=True)
class TierOutcome:
    """What was in one tier: payments and amounts (minor units), by label."""

    frauds: int
    genuine: int
    fraud_amount_minor: int
    genuine_amount_minor: int


@dataclass(frozen=True, slots=True)
class DecisionMetrics:
    """Metrics of decisions on labelled transactions.

    Attributes:
        labelled, frauds: transactions with a label, and the frauds among them.
        tiers: decision to what was in it.
        precision, recall, f1: of the prediction FRAUD (models and blocking rules); None where undefined.
        roc_auc, average_precision: of the fraud probability; None unless both classes are there.
    """

    labelled: int
    frauds: int
    tiers: dict[Tier, TierOutcome]
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None


def decision_metrics(
    decisions: Sequence[Tier],
    predicted_fraud: npt.NDArray[np.bool_],
    probability: Floats,
    is_fraud: npt.NDArray[np.int8],
    amount_minor: Int64s,
) -> DecisionMetrics:
    """Return the metrics of n decisions.

    Args:
        decisions: n tiers.
        predicted_fraud: (n,) whether the prediction was FRAUD.
        probability: (n,); NaN where no model answered, and then not ranked.
        is_fraud: (n,) 1, 0, or -1 for no label.
        amount_minor: (n,).

    >>> metrics = decision_metrics(
    ...     ["BLOCK", "APPROVE"], np.array([True, False]), np.array([0.95, 0.1]),
    ...     np.array([1, 0], np.int8), np.array([5000, 700]),
    ... )
    >>> metrics.precision, metrics.recall, metrics.roc_auc, metrics.tiers["BLOCK"].fraud_amount_minor
    (1.0, 1.0, 1.0, 5000)
    """
    tier = np.array(decisions, dtype="<U7")
    fraud, genuine = is_fraud == 1, is_fraud == 0
    hits = int((predicted_fraud & fraud).sum())
    alarms = int((predicted_fraud & (fraud | genuine)).sum())
    frauds = int(fraud.sum())
    ranked = (fraud | genuine) & ~np.isnan(probability)
    both_classes = bool((ranked & fraud).any() and (ranked & genuine).any())
    labels = fraud[ranked].astype(np.float64)
    ranks = fraud_ranks(labels, probability[ranked], one_customer(len(labels)), ONE_WEIGHT)
    return DecisionMetrics(
        labelled=frauds + int(genuine.sum()),
        frauds=frauds,
        tiers={name: _outcome(tier == name, fraud, genuine, amount_minor) for name in TIERS},
        precision=_share(hits, alarms),
        recall=_share(hits, frauds),
        f1=_share(2 * hits, alarms + frauds),
        roc_auc=float(roc_auc(ranks)[0]) if both_classes else None,
        average_precision=float(average_precision(ranks)[0]) if both_classes else None,
    )


def _outcome(
    inside: npt.NDArray[np.bool_],
    fraud: npt.NDArray[np.bool_],
    genuine: npt.NDArray[np.bool_],
    amount_minor: Int64s,
) -> TierOutcome:
    return TierOutcome(
        int((inside & fraud).sum()),
        int((inside & genuine).sum()),
        int(amount_minor[inside & fraud].sum()),
        int(amount_minor[inside & genuine].sum()),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
