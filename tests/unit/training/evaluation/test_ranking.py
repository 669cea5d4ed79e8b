import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve  # type: ignore[import-untyped]

from tests.unit.training.evaluation.held_out_rows import made_up, ones
from training.evaluation.ranking import average_precision, fraud_ranks, recall_at_fpr, roc_auc
from training.models import Floats


@given(seed=st.integers(0, 10_000), decimals=st.integers(0, 3), weighted=st.booleans())
def test_ranking_metrics_equal_those_of_scikit_learn_under_any_weights_and_ties(
    seed: int, decimals: int, weighted: bool
) -> None:
    rows, scores = made_up(rows=120, customers=15, seed=seed, decimals=decimals)
    rows.labels[:2] = 0.0, 1.0
    rng = np.random.default_rng(seed)
    drawn: Floats = rng.integers(0, 4, (rows.customers, 3)).astype(np.float64) if weighted else ones(rows)
    drawn[rows.customer[:2]] = np.maximum(drawn[rows.customer[:2]], 1)
    ranks = fraud_ranks(rows.labels, scores, rows.customer, drawn)
    for column, weights in enumerate(drawn.T):
        weight = weights[rows.customer]
        assert roc_auc(ranks)[column] == pytest.approx(roc_auc_score(rows.labels, scores, sample_weight=weight))
        assert average_precision(ranks)[column] == pytest.approx(
            average_precision_score(rows.labels, scores, sample_weight=weight)
        )
        # Only customers that were drawn are in the sample, so only their scores are thresholds.
        false_positive, true_positive, _ = roc_curve(
            rows.labels, scores, sample_weight=weight, drop_intermediate=False
        )
        expected = true_positive[false_positive <= 0.1 + 1e-12].max()
        assert recall_at_fpr(ranks, 0.1)[column] == pytest.approx(expected)


def test_a_sample_without_frauds_has_no_metrics_and_warns_of_nothing() -> None:
    labels, scores, customer = np.array([1.0, 0.0, 0.0]), np.array([0.9, 0.1, 0.2]), np.array([0, 1, 1])
    ranks = fraud_ranks(labels, scores, customer, np.array([[0.0, 1.0], [2.0, 0.0]]))
    assert np.isnan(roc_auc(ranks)).all()
    assert np.isnan(average_precision(ranks)).tolist() == [True, False]
    assert np.isnan(recall_at_fpr(ranks, 0.5)).all()


def test_rows_without_any_fraud_have_no_metrics() -> None:
    ranks = fraud_ranks(np.zeros(2), np.array([0.1, 0.2]), np.array([0, 0]), np.ones((1, 2)))
    for metric in (roc_auc(ranks), average_precision(ranks), recall_at_fpr(ranks, 0.1)):
        assert np.isnan(metric).all()


def test_genuine_payments_above_every_fraud_leave_no_recall_at_a_small_false_positive_rate() -> None:
    labels, scores = np.array([0.0, 1.0, 0.0]), np.array([0.9, 0.5, 0.1])
    ranks = fraud_ranks(labels, scores, np.zeros(3, np.int64), np.ones((1, 1)))
    assert recall_at_fpr(ranks, 0.4).tolist() == [0.0]
    assert recall_at_fpr(ranks, 0.5).tolist() == [1.0]
