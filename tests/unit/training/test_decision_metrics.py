"""Decisions against labels."""

import numpy as np
import pytest

from training.decision_metrics import decision_metrics


def test_each_tier_counts_payments_and_amounts_by_label() -> None:
    metrics = decision_metrics(
        ["BLOCK", "BLOCK", "REVIEW", "APPROVE", "APPROVE"],
        np.array([True, True, False, False, False]),
        np.array([0.99, 0.95, 0.6, 0.2, 0.1]),
        np.array([1, 0, 1, 1, 0], np.int8),
        np.array([100, 20, 3000, 400, 50]),
    )
    assert metrics.tiers["BLOCK"].fraud_amount_minor == 100
    assert metrics.tiers["BLOCK"].genuine_amount_minor == 20
    assert metrics.tiers["REVIEW"].frauds == 1
    assert metrics.tiers["APPROVE"].fraud_amount_minor == 400
    assert (metrics.precision, metrics.recall) == (0.5, 1 / 3)
    assert metrics.f1 == pytest.approx(0.4)
    assert metrics.roc_auc == pytest.approx(4 / 6)


def test_rows_without_a_label_count_nowhere() -> None:
    metrics = decision_metrics(
        ["BLOCK", "BLOCK", "APPROVE"],
        np.array([True, True, False]),
        np.array([0.9, 0.9, 0.1]),
        np.array([1, -1, 0], np.int8),
        np.array([1, 1, 1]),
    )
    assert (metrics.labelled, metrics.frauds, metrics.precision) == (2, 1, 1.0)
    assert metrics.tiers["BLOCK"].genuine == 0


def test_a_row_without_a_probability_is_not_ranked() -> None:
    metrics = decision_metrics(
        ["BLOCK", "APPROVE", "APPROVE"],
        np.array([True, False, False]),
        np.array([np.nan, 0.8, 0.1]),
        np.array([1, 1, 0], np.int8),
        np.array([1, 1, 1]),
    )
    assert (metrics.roc_auc, metrics.recall) == (1.0, 0.5)


def test_without_frauds_the_ranking_is_undefined() -> None:
    nothing = decision_metrics(
        ["APPROVE"], np.array([False]), np.array([0.1]), np.zeros(1, np.int8), np.ones(1, np.int64)
    )
    assert (nothing.precision, nothing.recall, nothing.f1, nothing.roc_auc) == (None, None, None, None)
