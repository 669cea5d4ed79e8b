"""Thresholds by cost equal what trying every pair on every payment gives."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.costs import Costs
from training.thresholds import GRID, Choice, Outcomes, choose_thresholds

SMALL_GRID = (0.0, 0.1, 0.5, 0.9)
Row = tuple[int, float, int, int]
"""Label, probability, amount in cents, day."""


def outcomes(rows: list[Row]) -> Outcomes:
    label, probability, amount, day = (list(column) for column in zip(*rows, strict=True))
    return Outcomes(
        np.array(label, np.float64), np.array(probability, np.float64), np.array(amount), np.array(day)
    )


def naive(rows: list[Row], review: float, block: float, costs: Costs) -> tuple[float, int, float]:
    """Return cost, reviews on the busiest day and recall, one payment after the other."""
    cost, by_day, caught, frauds = 0.0, dict.fromkeys((day for *_, day in rows), 0), 0, 0
    for label, probability, amount, day in rows:
        frauds += label
        caught += label and probability > review
        if probability > block:
            cost += 0 if label else costs.wrong_block_minor
        elif probability > review:
            cost += costs.review_minor
            by_day[day] += 1
        elif label:
            cost += costs.loss_share * amount
    return cost, max(by_day.values()), caught / frauds if frauds else 0.0


def best(rows: list[Row], costs: Costs) -> float:
    """Return the least cost of all pairs that the reviewers could have managed."""
    tried = [naive(rows, review, block, costs) for block in SMALL_GRID for review in SMALL_GRID if review <= block]
    return min(cost for cost, busiest, _ in tried if costs.reviews_a_day is None or busiest <= costs.reviews_a_day)


payment = st.tuples(
    st.integers(0, 1), st.floats(0, 1) | st.sampled_from(SMALL_GRID), st.integers(1, 50_000), st.integers(3, 5)
)
costs_of = st.builds(
    Costs,
    review_minor=st.integers(0, 5000),
    wrong_block_minor=st.integers(0, 20_000),
    loss_share=st.sampled_from([0.5, 1.0]),
    reviews_a_day=st.none() | st.integers(0, 5),
    tolerance=st.sampled_from([0.0, 0.2]),
)


@given(st.lists(payment, min_size=1, max_size=25), costs_of)
@settings(max_examples=150, deadline=None)
def test_every_line_of_the_table_equals_brute_force(rows: list[Row], costs: Costs) -> None:
    chosen = choose_thresholds(outcomes(rows), costs, SMALL_GRID)
    for choice in (chosen.choice, *chosen.by_review, *chosen.by_block):
        cost, busiest, recall = naive(rows, choice.review, choice.block, costs)
        assert choice.cost_minor == pytest.approx(cost, abs=1e-6)
        assert choice.most_reviews_a_day == busiest
        assert choice.recall == pytest.approx(recall)
        assert choice.caught + choice.missed == sum(label for label, *_ in rows)
        assert choice.caught_minor + choice.missed_minor == sum(label * amount for label, _, amount, _ in rows)
        parts = choice.review_cost_minor + choice.wrong_block_cost_minor + choice.missed_cost_minor
        assert choice.cost_minor == pytest.approx(parts, abs=1e-6)
        assert choice.mean_reviews_a_day == pytest.approx(choice.reviews / len({day for *_, day in rows}))
        assert choice.affordable == (costs.reviews_a_day is None or busiest <= costs.reviews_a_day)


@given(st.lists(payment, min_size=1, max_size=25), costs_of)
@settings(max_examples=150, deadline=None)
def test_no_other_pair_costs_less_than_recall_is_worth(rows: list[Row], costs: Costs) -> None:
    choice = choose_thresholds(outcomes(rows), costs, SMALL_GRID).choice
    least = best(rows, costs)  # (0.9, 0.9) reviews nothing, so there always is one.
    assert choice.affordable
    assert least - 1e-6 <= choice.cost_minor <= least * (1 + costs.tolerance) + 1e-6


ROWS: list[Row] = [(0, 0.02, 1000, 1), (1, 0.2, 30_000, 1), (0, 0.3, 900, 1), (1, 0.95, 5000, 2), (0, 0.6, 700, 2)]


def test_a_dear_fraud_lowers_the_review_threshold() -> None:
    assert choose_thresholds(outcomes(ROWS), Costs(review_minor=500), SMALL_GRID).choice.review <= 0.1
    cheap = [(label, p, 100, day) for label, p, _, day in ROWS]
    assert choose_thresholds(outcomes(cheap), Costs(review_minor=500), SMALL_GRID).choice.review >= 0.5


def test_the_capacity_of_the_reviewers_raises_it() -> None:
    free = choose_thresholds(outcomes(ROWS), Costs(), SMALL_GRID).choice
    bound = choose_thresholds(outcomes(ROWS), Costs(reviews_a_day=0), SMALL_GRID).choice
    assert free.most_reviews_a_day > 0 == bound.most_reviews_a_day
    assert bound.cost_minor > free.cost_minor


def test_recall_is_worth_the_tolerance() -> None:
    rows = [*ROWS, (1, 0.05, 450, 2)]
    strict, lenient = (
        choose_thresholds(outcomes(rows), Costs(review_minor=400, tolerance=t), SMALL_GRID).choice
        for t in (0, 0.5)
    )
    assert lenient.recall > strict.recall


def test_without_reviewers_only_a_pair_without_reviews_is_chosen() -> None:
    chosen = choose_thresholds(
        outcomes([(0, 0.5, 100, 1), (0, 0.4, 100, 1)]), Costs(reviews_a_day=0), (0.1,)
    ).choice
    assert (chosen.review, chosen.block, chosen.reviews) == (0.1, 0.1, 0)


def test_the_tables_show_each_choice_once_in_order() -> None:
    chosen = choose_thresholds(outcomes(ROWS))
    review = [choice.review for choice in chosen.by_review]
    assert review == [x for x in GRID if x <= chosen.choice.block]
    assert [choice.block for choice in chosen.by_block] == [x for x in GRID if x >= chosen.choice.review]
    assert chosen.choice in chosen.by_review
    assert chosen.choice in chosen.by_block
    recalls: list[Choice] = list(chosen.by_review)
    assert all(a.recall >= b.recall for a, b in pairwise(recalls))


def test_the_thresholds_are_those_of_a_policy() -> None:
    chosen = choose_thresholds(outcomes(ROWS))
    thresholds = chosen.thresholds
    assert (thresholds.review, thresholds.block) == (chosen.choice.review, chosen.choice.block)
    assert thresholds.fraud == thresholds.review


def test_without_a_threshold_to_compare_there_is_no_choice() -> None:
    with pytest.raises(ValueError, match="no thresholds"):
        choose_thresholds(outcomes(ROWS), grid=())
