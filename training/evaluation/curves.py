"""The curves of a score, thinned to what an eye can see."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from features.transaction import Int64s
from training.costs import MINOR_UNITS, Costs
from training.evaluation.held_out import HeldOut
from training.evaluation.metrics import MetricSettings
from training.evaluation.probability import reliability
from training.evaluation.results import Curve, ScoreCurves
from training.models import Floats

POINTS: Final = 300
BINS: Final = 50
THRESHOLDS: Final = np.round(np.arange(1, 101) / 100, 2)


def score_curves(parts: Sequence[tuple[HeldOut, Floats]], settings: MetricSettings) -> ScoreCurves:
    """Return the curves of the rows and scores of some folds, put together."""
    labels = np.concatenate([rows.labels for rows, _ in parts])
    amount = np.concatenate([rows.amount_minor for rows, _ in parts])
    scores = np.concatenate([scores for _, scores in parts])
    roc, precision_recall = ranking_curves(labels, scores)
    bins = reliability(labels, scores)
    edges = np.linspace(0, 1, BINS + 1)
    return ScoreCurves(
        roc=roc,
        precision_recall=precision_recall,
        reliability=_curve(bins.mean_score, bins.fraud_share),
        reliability_rows=tuple(bins.rows.tolist()),
        edges=tuple(edges.tolist()),
        genuine=tuple(np.histogram(scores[labels == 0], edges)[0].tolist()),
        fraud=tuple(np.histogram(scores[labels == 1], edges)[0].tolist()),
        cost=cost_curve(labels, scores, amount, settings.costs),
    )


def ranking_curves(labels: Floats, scores: Floats) -> tuple[Curve, Curve]:
    """Return the ROC curve and the precision-recall curve, a point at each distinct score, thinned."""
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(labels[order])
    flagged = np.arange(1, len(scores) + 1)
    last_of_ties = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    chosen = last_of_ties[_thinned(len(last_of_ties))]
    recall = found[chosen] / max(found[-1], 1)
    false_positive = (flagged - found)[chosen] / max(len(scores) - found[-1], 1)
    roc = _curve(np.append(0.0, false_positive), np.append(0.0, recall))
    return roc, _curve(recall, found[chosen] / flagged[chosen])


def cost_curve(labels: Floats, scores: Floats, amount_minor: Int64s, costs: Costs) -> Curve:
    """Return the cost in major units of flagging all scores that reach each of ``THRESHOLDS``."""
    order = np.argsort(-scores, kind="stable")
    caught = np.append(0.0, np.cumsum(labels[order] * amount_minor[order]))
    alarms = np.searchsorted(-scores[order], -THRESHOLDS, "right")
    cost = costs.loss_share * (caught[-1] - caught[alarms]) + costs.review_minor * alarms
    return _curve(THRESHOLDS, cost / MINOR_UNITS)


def _thinned(points: int) -> Int64s:
    """Return up to 2 ``POINTS`` indices of a curve, dense at its beginning, where a threshold is set."""
    even = np.linspace(0, points - 1, POINTS)
    dense = np.geomspace(1, points, POINTS) - 1
    return np.unique(np.concatenate([even, dense]).round().astype(np.int64))


def _curve(x: Floats, y: Floats) -> Curve:
    return Curve(x=tuple(np.round(x, 6).tolist()), y=tuple(np.round(y, 6).tolist()))
