import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score  # type: ignore[import-untyped]

from tests.unit.training.evaluation.held_out_rows import made_up, ones
from training.costs import Costs
from training.evaluation.decision_cost import Flagged, cost_minor, f1, flagged, precision, recall, savings
from training.models import Floats

LABELS = np.array([1.0, 1.0, 0.0, 0.0])
SCORES = np.array([0.9, 0.2, 0.5, 0.1])
COSTS = Costs(review_minor=500)
AMOUNTS = np.array([10_000, 3_000, 700, 50])


def outcome(threshold: float) -> Flagged:
    return flagged(LABELS, SCORES, AMOUNTS, np.zeros(4, np.int64), np.ones((1, 1)), threshold)


def test_precision_recall_and_f1_equal_those_of_scikit_learn() -> None:
    rows, scores = made_up()
    weights: Floats = np.random.default_rng(1).integers(1, 3, (rows.customers, 1)).astype(np.float64)
    found = flagged(rows.labels, scores, rows.amount_minor, rows.customer, weights, 0.3)
    arguments = (rows.labels, scores >= 0.3)
    for ours, theirs in ((precision, precision_score), (recall, recall_score), (f1, f1_score)):
        assert ours(found)[0] == pytest.approx(theirs(*arguments, sample_weight=weights[rows.customer, 0]))


def test_a_missed_fraud_costs_its_amount_and_an_alarm_a_review() -> None:
    assert cost_minor(outcome(0.5), COSTS)[0] == 3_000 + 2 * 500
    assert cost_minor(outcome(0.0), COSTS)[0] == 4 * 500
    assert savings(outcome(0.5), COSTS)[0] == pytest.approx(1 - 4_000 / 13_000)


def test_flagging_nothing_saves_nothing_and_is_no_error() -> None:
    nothing = outcome(1.0)
    assert (precision(nothing)[0], recall(nothing)[0], f1(nothing)[0]) == (0.0, 0.0, 0.0)
    assert savings(nothing, COSTS)[0] == 0.0


def test_without_fraud_there_is_nothing_to_find_or_to_save() -> None:
    rows, scores = made_up()
    none = flagged(np.zeros(len(rows)), scores, rows.amount_minor, rows.customer, ones(rows), 0.5)
    assert np.isnan([recall(none)[0], f1(none)[0], savings(none, COSTS)[0]]).all()
    assert precision(none)[0] == 0.0


def test_what_is_recovered_of_a_missed_fraud_is_neither_cost_nor_saved() -> None:
    half = Costs(review_minor=500, loss_share=0.5)
    assert cost_minor(outcome(0.5), half)[0] == 1_500 + 2 * 500
    assert savings(outcome(0.5), half)[0] == pytest.approx(1 - 2_500 / 6_500)
