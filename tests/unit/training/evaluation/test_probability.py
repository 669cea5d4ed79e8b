import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss  # type: ignore[import-untyped]

from tests.unit.training.evaluation.held_out_rows import made_up
from training.evaluation.probability import brier, calibration_error, reliability
from training.models import Floats


@given(seed=st.integers(0, 10_000))
def test_brier_and_calibration_error_equal_naive_ones_under_any_weights(seed: int) -> None:
    rows, scores = made_up(rows=100, customers=10, seed=seed)
    weights = np.random.default_rng(seed).integers(1, 4, (rows.customers, 2)).astype(np.float64)
    for column in range(2):
        weight = weights[rows.customer, column]
        expected = brier_score_loss(rows.labels, scores, sample_weight=weight)
        assert brier(rows.labels, scores, rows.customer, weights)[column] == pytest.approx(expected)
        computed = calibration_error(rows.labels, scores, rows.customer, weights)[column]
        assert computed == pytest.approx(naive_calibration_error(rows.labels, scores, weight))


def naive_calibration_error(labels: Floats, scores: Floats, weight: Floats, bins: int = 10) -> float:
    error = 0.0
    for number in range(bins):
        last = number == bins - 1
        inside = (scores * bins >= number) & ((scores * bins < number + 1) | last)
        if weight[inside].sum():
            observed = np.average(labels[inside], weights=weight[inside])
            predicted = np.average(scores[inside], weights=weight[inside])
            error += weight[inside].sum() / weight.sum() * abs(observed - predicted)
    return error


def test_the_reliability_diagram_leaves_empty_bins_out() -> None:
    found = reliability(np.array([0.0, 1.0, 1.0]), np.array([0.05, 0.07, 1.0]))
    assert found.rows.tolist() == [2, 1]
    assert found.mean_score.tolist() == pytest.approx([0.06, 1.0])
    assert found.fraud_share.tolist() == [0.5, 1.0]


def test_a_perfectly_calibrated_score_has_no_calibration_error() -> None:
    labels, scores = np.array([0.0, 0.0, 0.0, 1.0]), np.full(4, 0.25)
    assert calibration_error(labels, scores, np.arange(4), np.ones((4, 1))).tolist() == [0.0]
