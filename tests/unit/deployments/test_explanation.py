"""Reason codes: rules first, then what raised the score most, each in words."""

import numpy as np

from deployments.decision import Reason
from deployments.explanation import explain
from deployments.rules import compile_rules
from deployments.settings import Rule
from features.definitions import FEATURE_NAMES
from tests.unit.deployments.transactions import matrix_of

RULES = {
    rule.id: rule
    for rule in compile_rules(
        [Rule(id=name, when="amount > 1", reason=f"words of {name}") for name in ("first", "second")]
    )
}


def reasons(fired: list[str], limit: int = 5, **contributions: float) -> list[Reason]:
    values = np.arange(len(FEATURE_NAMES), dtype=np.float64)
    given = matrix_of(1, **{name: [value] for name, value in contributions.items()})
    [told] = explain([fired], RULES, given, values[None], limit)
    return told


def test_a_rule_that_fired_is_a_reason_in_its_own_words() -> None:
    assert reasons(["first"]) == [Reason("rule", "first", "words of first")]


def test_rules_come_first_in_their_order_and_then_the_largest_contributions() -> None:
    codes = [r.code for r in reasons(["second", "first"], amount=0.1, speed_kmh=2.0, is_night=0.5)]
    assert codes == ["second", "first", "speed_kmh", "is_night", "amount"]


def test_what_speaks_against_fraud_or_says_nothing_is_no_reason() -> None:
    assert [r.code for r in reasons([], amount=-3.0, is_night=0.0, speed_kmh=0.1)] == ["speed_kmh"]


def test_there_are_no_more_reasons_than_asked_for() -> None:
    assert [r.code for r in reasons(["first"], limit=2, amount=1.0, is_night=2.0)] == ["first", "is_night"]
    assert [r.code for r in reasons(["first", "second"], limit=1, amount=1.0)] == ["first"]


def test_equal_contributions_keep_the_order_of_the_features() -> None:
    assert [r.code for r in reasons([], is_night=1.0, amount=1.0)] == ["amount", "is_night"]


def test_a_contribution_is_told_with_the_value_of_the_feature() -> None:
    values, contributions = matrix_of(1, amount=[4500.0]), matrix_of(1, amount=[1.0])
    assert explain([[]], {}, contributions, values, 5) == [[Reason("model", "amount", "the amount is 4,500.00")]]


def test_a_value_that_stands_for_something_else_is_told_as_that() -> None:
    values, contributions = matrix_of(1, is_night=[1.0]), matrix_of(1, is_night=[1.0])
    [[reason]] = explain([[]], {}, contributions, values, 5)
    assert reason.text == "the payment is at night"


def test_each_row_has_its_own_reasons() -> None:
    contributions = matrix_of(3, amount=[1.0, -1.0, 1.0], is_night=[2.0, 0.0, 0.5])
    told = explain([["second"], ["first"], []], RULES, contributions, matrix_of(3), 2)
    assert [[reason.code for reason in row] for row in told] == [
        ["second", "is_night"],
        ["first"],
        ["amount", "is_night"],
    ]


def test_every_feature_has_words_that_take_its_value() -> None:
    everything = np.ones((1, len(FEATURE_NAMES)))
    [told] = explain([[]], {}, everything, everything, len(FEATURE_NAMES))
    assert [reason.code for reason in told] == list(FEATURE_NAMES)
    assert all(reason.text and "{" not in reason.text for reason in told)
