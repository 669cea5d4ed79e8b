"""From scores and rules to decisions: tiers and their edges, rules, and what happens without a model."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployments.decision import DECISION_NAMES, Decisions, decide, ensemble, fired_rules
from deployments.rules import compile_rules
from deployments.settings import Rule, Thresholds, Weights
from tests.unit.deployments.transactions import batch_of, matrix_of
from training.registry import Calibration

NAN = float("nan")
REVIEW_RULE = Rule(id="look", when="amount > 10", action="REVIEW", reason="large")
BLOCK_RULE = Rule(id="stop", when="amount > 20", action="BLOCK", reason="very large")


def decided(
    lr: Sequence[float],
    xgb: Sequence[float] | None = None,
    thresholds: Thresholds = Thresholds(),  # noqa: B008 - it is frozen.
    weights: Weights = Weights(),  # noqa: B008 - it is frozen.
    rules: Sequence[Rule] = (),
    amount: Sequence[float] | None = None,
) -> Decisions:
    """Return decisions; without ``xgb`` both models have the same scores."""
    n = len(lr)
    return decide(
        np.array(lr),
        np.array(lr if xgb is None else xgb),
        weights,
        thresholds,
        fired_rules(compile_rules(rules), matrix_of(n, amount=amount or [1.0] * n), batch_of(n)),
        "7",
        ("something",),
    )


def names(decisions: Decisions) -> list[str]:
    return [DECISION_NAMES[value] for value in decisions.decision]


def test_the_default_tiers_are_those_of_the_design_and_their_edges_belong_to_the_milder_side() -> None:
    above = np.nextafter([0.5, 0.9], 1).tolist()
    decisions = decided([0.0, 0.5, above[0], 0.9, above[1], 1.0])
    assert names(decisions) == ["APPROVE", "APPROVE", "REVIEW", "REVIEW", "BLOCK", "BLOCK"]


def test_a_probability_is_fraud_from_the_threshold_on() -> None:
    below = float(np.nextafter(0.5, 0))
    assert decided([below, 0.5, 1.0]).is_fraud.tolist() == [False, True, True]


def test_the_fraud_threshold_is_apart_from_the_tiers() -> None:
    decisions = decided([0.6, 0.8], thresholds=Thresholds(block=0.9, review=0.5, fraud=0.7))
    assert names(decisions) == ["REVIEW", "REVIEW"]
    assert decisions.is_fraud.tolist() == [False, True]


def test_tiers_may_coincide() -> None:
    assert names(decided([0.5, 0.6], thresholds=Thresholds(block=0.5, review=0.5))) == ["APPROVE", "BLOCK"]


def test_the_tiers_act_on_the_calibrated_probability() -> None:
    curve = Calibration(a=1, b=1, c=2)
    scores = np.array([0.1, 0.2, 0.4, 0.9])
    decisions = decide(scores, scores, Weights(), Thresholds(), [], "7", (), curve)
    np.testing.assert_array_equal(decisions.probability, curve.apply(scores))
    assert names(decisions) == ["APPROVE", "REVIEW", "REVIEW", "BLOCK"]
    assert decisions.is_fraud.tolist() == [False, True, True, True]
    assert decisions.lr.tolist() == scores.tolist()


def test_without_any_score_there_is_nothing_to_calibrate() -> None:
    missing = np.array([NAN])
    decisions = decide(missing, missing, Weights(), Thresholds(), [], "7", (), Calibration(a=1, b=1, c=2))
    assert np.isnan(decisions.probability).all()
    assert names(decisions) == ["APPROVE"]


curves = st.builds(Calibration, a=st.floats(0.1, 5), b=st.floats(0.1, 5), c=st.floats(-5, 5))


@given(st.floats(0, 1), st.floats(0, 1), curves, st.floats(0, 1))
def test_no_row_is_flagged_unless_a_model_scores_above_what_the_threshold_asks_for(
    lr: float, xgb: float, curve: Calibration, review: float
) -> None:
    thresholds = Thresholds(review=review, block=1)
    decisions = decide(np.array([lr]), np.array([xgb]), Weights(), thresholds, [], "7", (), curve)
    flagged = names(decisions) != ["APPROVE"]
    assert not flagged or max(lr, xgb) > curve.highest_score(review)


def test_rules_raise_a_decision_and_never_lower_it() -> None:
    decisions = decided([0.1, 0.1, 0.1, 0.95, 0.95], rules=[REVIEW_RULE, BLOCK_RULE], amount=[10, 11, 21, 11, 5])
    assert names(decisions) == ["APPROVE", "REVIEW", "BLOCK", "BLOCK", "BLOCK"]
    assert decisions.rules == {1: ["look"], 2: ["look", "stop"], 3: ["look"]}


def test_a_milder_rule_after_a_stricter_one_changes_nothing() -> None:
    decisions = decided([0.1], rules=[BLOCK_RULE, REVIEW_RULE], amount=[21])
    assert names(decisions) == ["BLOCK"]
    assert decisions.rules == {0: ["stop", "look"]}


def test_a_blocking_rule_means_fraud_and_a_reviewing_one_does_not() -> None:
    decisions = decided([0.1, 0.1, 0.6], rules=[REVIEW_RULE, BLOCK_RULE], amount=[11, 21, 11])
    assert decisions.is_fraud.tolist() == [False, True, True]


def test_a_rule_leaves_the_probability_alone() -> None:
    assert decided([0.1], rules=[BLOCK_RULE], amount=[21]).probability.tolist() == [0.1]


def test_the_ensemble_is_the_mean_by_default() -> None:
    assert ensemble(np.array([0.2, 1.0]), np.array([0.6, 0.0]), Weights()).tolist() == [0.4, 0.5]


def test_weights_are_divided_by_their_sum() -> None:
    assert ensemble(np.array([0.2]), np.array([0.6]), Weights(lr=3, xgb=1)).tolist() == pytest.approx([0.3])


def test_a_model_without_weight_does_not_count() -> None:
    assert ensemble(np.array([0.2]), np.array([0.6]), Weights(lr=0, xgb=2)).tolist() == [0.6]


@pytest.mark.parametrize("weights", [Weights(), Weights(lr=0, xgb=1), Weights(lr=1, xgb=0)])
def test_a_missing_score_leaves_the_decision_to_the_other_model(weights: Weights) -> None:
    assert ensemble(np.array([0.2]), np.array([NAN]), weights).tolist() == [0.2]
    assert ensemble(np.array([NAN]), np.array([0.95]), weights).tolist() == [0.95]
    assert names(decided([NAN], [0.95], weights=weights)) == ["BLOCK"]


def test_without_any_score_the_rules_alone_decide() -> None:
    decisions = decided([NAN, NAN, NAN], rules=[REVIEW_RULE, BLOCK_RULE], amount=[1, 11, 21])
    assert names(decisions) == ["APPROVE", "REVIEW", "BLOCK"]
    assert decisions.is_fraud.tolist() == [False, False, True]
    assert np.isnan(decisions.probability).all()


def test_the_version_and_what_was_missing_are_passed_on() -> None:
    decisions = decided([0.1])
    assert (decisions.model_version, decisions.degraded) == ("7", ("something",))
    assert decisions.decision.dtype == np.int8
    assert decisions.is_fraud.dtype == np.bool_


scores = st.floats(0, 1)
weight = st.floats(0, 100) | st.sampled_from([0.0, 1e-9, 1e6])
policies = st.tuples(scores, scores, scores).map(
    lambda t: Thresholds(review=min(t[:2]), block=max(t[:2]), fraud=t[2])
)
weights = st.tuples(weight, weight).filter(lambda w: sum(w) > 0).map(lambda w: Weights(lr=w[0], xgb=w[1]))


@given(st.lists(scores, min_size=4, max_size=4), policies, weights, st.floats(0, 30))
def test_higher_scores_never_lead_to_a_milder_decision(
    values: list[float], thresholds: Thresholds, shares: Weights, amount: float
) -> None:
    lr, xgb = sorted(values[:2]), sorted(values[2:])
    decisions = decided(lr, xgb, thresholds, shares, [REVIEW_RULE, BLOCK_RULE], [amount, amount])
    mild, strict = decisions.decision.tolist()
    assert mild <= strict
    assert decisions.is_fraud[0] <= decisions.is_fraud[1]


@given(scores, scores, weights)
@example(1.0, 0.5, Weights(lr=0, xgb=5e-324))
def test_the_ensemble_lies_between_the_scores(lr: float, xgb: float, shares: Weights) -> None:
    [probability] = ensemble(np.array([lr]), np.array([xgb]), shares).tolist()
    assert 0 <= probability <= 1
    assert min(lr, xgb) - 1e-12 <= probability <= max(lr, xgb) + 1e-12


@given(st.lists(st.tuples(scores | st.just(NAN), scores | st.just(NAN), st.floats(0, 30)), min_size=1, max_size=6))
def test_a_transaction_is_decided_alike_alone_and_among_others(rows: list[tuple[float, float, float]]) -> None:
    def of(rows: list[tuple[float, float, float]]) -> list[tuple[str, bool, list[str]]]:
        lr, xgb, amount = zip(*rows, strict=True)
        decisions = decided(lr, xgb, rules=[REVIEW_RULE, BLOCK_RULE], amount=amount)
        return [
            (name, bool(decisions.is_fraud[row]), decisions.rules.get(row, []))
            for row, name in enumerate(names(decisions))
        ]

    assert of(rows) == [of([row])[0] for row in rows]


def test_a_number_too_large_in_one_rule_is_infinite_and_hinders_no_other() -> None:
    rules = compile_rules(
        [Rule(id="large", when="amount * 1e300 > 1e300", reason="x"), Rule(id="always", when="1 < 2", reason="x")]
    )
    fired = fired_rules(rules, matrix_of(2, amount=[1e300, 0.5]), batch_of(2))
    assert [(rule.id, rows.tolist()) for rule, rows in fired] == [
        ("large", [True, False]),
        ("always", [True, True]),
    ]
