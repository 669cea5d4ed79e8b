"""How good a score is, on rows that no model has seen."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_curve  # type: ignore[import-untyped]

from training.evaluation.probability import brier
from training.evaluation.ranking import ONE_WEIGHT, average_precision, fraud_ranks, one_customer, roc_auc
from training.models import Floats, Probabilities


@dataclass(frozen=True, slots=True)
class ScoreMetrics:
    """Metrics of one score.

    Attributes:
        roc_auc, average_precision: of the ranking; independent of the threshold.
        brier: mean squared error of the probability; it tells whether 0.9 means nine in ten.
        precision, recall, f1: of the rows whose score reaches ``threshold``; 0 where undefined.
        true_positives .. true_negatives: counts at the threshold.
    """

    roc_auc: float
    average_precision: float
    brier: float
    threshold: float
    precision: float
    recall: float
    f1: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    def as_floats(self) -> dict[str, float]:
        """Return name to value, as MLflow and the manifest hold them."""
        return {name: float(value) for name, value in asdict(self).items()}


def score_metrics(labels: Floats, scores: Probabilities, threshold: float) -> ScoreMetrics:
    """Return the metrics of scores (n,) against labels (n,), both classes present.

    >>> score_metrics(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.4, 0.9]), 0.5).roc_auc
    0.75
    """
    everyone = one_customer(len(labels))
    ranks = fraud_ranks(labels, scores, everyone, ONE_WEIGHT)
    table = confusion_matrix(labels, scores >= threshold, labels=[0, 1])
    (true_negatives, false_positives), (false_negatives, true_positives) = table.tolist()
    precision = _share(true_positives, true_positives + false_positives)
    recall = _share(true_positives, true_positives + false_negatives)
    return ScoreMetrics(
        roc_auc=float(roc_auc(ranks)[0]),
        average_precision=float(average_precision(ranks)[0]),
        brier=float(brier(labels, scores, everyone, ONE_WEIGHT)[0]),
        threshold=threshold,
        precision=precision,
        recall=recall,
        f1=_share(2 * true_positives, 2 * true_positives + false_positives + false_negatives),
        true_positives=true_positives,
        false_positives=false_positives,
        false_negatives=false_negatives,
        true_negatives=true_negatives,
    )


def best_f1_threshold(labels: Floats, scores: Probabilities) -> float:
    """Return the score at or above which a row is called fraud for the highest F1.

    To be chosen on the validation period, never on the test period.

    >>> best_f1_threshold(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.3, 0.9]))
    0.3
    """
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    return float(thresholds[np.argmax(f1[:-1])])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
