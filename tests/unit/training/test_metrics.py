import numpy as np
import pytest

from training.metrics import best_f1_threshold, score_metrics

LABELS = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
SCORES = np.array([0.1, 0.6, 0.2, 0.5, 0.9])


def test_a_score_that_reaches_the_threshold_counts_as_fraud() -> None:
    metrics = score_metrics(LABELS, SCORES, 0.5)
    assert (metrics.true_positives, metrics.false_positives) == (2, 1)
    assert (metrics.false_negatives, metrics.true_negatives) == (0, 2)
    assert metrics.precision == pytest.approx(2 / 3)
    assert metrics.recall == 1.0
    assert metrics.f1 == pytest.approx(0.8)


def test_ranking_and_calibration_do_not_depend_on_the_threshold() -> None:
    low, high = score_metrics(LABELS, SCORES, 0.1), score_metrics(LABELS, SCORES, 0.95)
    assert low.roc_auc == high.roc_auc == pytest.approx(5 / 6)
    assert low.average_precision == high.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert low.brier == high.brier == pytest.approx((0.01 + 0.36 + 0.04 + 0.25 + 0.01) / 5)


def test_nothing_flagged_is_zero_and_no_warning() -> None:
    metrics = score_metrics(LABELS, SCORES, 1.0)
    assert (metrics.precision, metrics.recall, metrics.f1) == (0.0, 0.0, 0.0)


def test_the_best_threshold_has_the_highest_f1_of_all() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(300) < 0.2).astype(np.float64)
    scores = np.asarray(np.round(labels * 0.3 + rng.random(300) * 0.7, 2), np.float64)
    best = score_metrics(labels, scores, best_f1_threshold(labels, scores)).f1
    assert best == pytest.approx(max(score_metrics(labels, scores, t).f1 for t in np.unique(scores)))


def test_metrics_as_floats_name_every_metric() -> None:
    floats = score_metrics(LABELS, SCORES, 0.5).as_floats()
    assert floats["true_positives"] == 2.0
    assert all(isinstance(value, float) for value in floats.values())
