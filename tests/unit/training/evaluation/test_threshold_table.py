"""The table of thresholds equals deciding every payment one after the other, as the service does."""

from dataclasses import replace

import numpy as np
import pytest

from features.definitions import DAY_MS
from tests.unit.training.evaluation.held_out_rows import made_up
from training.bundle import Thresholds
from training.costs import Costs
from training.evaluation.results import ThresholdTable
from training.evaluation.threshold_table import SHOWN_BLOCK, SHOWN_REVIEW, threshold_table
from training.evaluation.threshold_words import FAVOURED, LEAST_COST, SERVED, TOO_MANY, assumptions, marks
from training.thresholds import GRID, Choice

POLICY = Thresholds(review=0.123, block=0.456, fraud=0.123)
COSTS = Costs(review_minor=300, wrong_block_minor=7000, loss_share=0.5)


def table(costs: Costs = COSTS, policy: Thresholds = POLICY) -> ThresholdTable:
    return threshold_table([made_up()], policy, costs)


def test_the_policy_that_is_served_is_priced_payment_by_payment() -> None:
    rows, scores = made_up()
    served, by_day = table().served, dict.fromkeys(rows.day.tolist(), 0)
    reviews = wrong = caught = caught_minor = missed = missed_minor = 0
    for label, score, amount, day in zip(rows.labels, scores, rows.amount_minor, rows.day.tolist(), strict=True):
        if POLICY.review < score <= POLICY.block:
            reviews, by_day[day] = reviews + 1, by_day[day] + 1
        wrong += score > POLICY.block and not label
        if label and score > POLICY.review:
            caught, caught_minor = caught + 1, caught_minor + amount
        elif label:
            missed, missed_minor = missed + 1, missed_minor + amount
    assert reviews > 0 < wrong
    assert missed > 0 < caught
    assert served == Choice(
        review=0.123,
        block=0.456,
        reviews=reviews,
        mean_reviews_a_day=reviews / 5,
        most_reviews_a_day=max(by_day.values()),
        wrong_blocks=wrong,
        caught=caught,
        caught_minor=caught_minor,
        missed=missed,
        missed_minor=missed_minor,
        recall=pytest.approx(caught / (caught + missed)),
        review_cost_minor=300 * reviews,
        wrong_block_cost_minor=7000 * wrong,
        missed_cost_minor=0.5 * missed_minor,
        cost_minor=300 * reviews + 7000 * wrong + 0.5 * missed_minor,
        affordable=True,
    )


def test_the_three_named_choices_are_lines_of_the_table_in_order() -> None:
    found = table()
    pairs = [choice.pair for choice in found.choices]
    assert pairs == sorted(set(pairs))
    assert {found.served.pair, found.cheapest.pair, found.favoured.pair} <= set(pairs)
    assert {(r, b) for r in SHOWN_REVIEW for b in SHOWN_BLOCK if r <= b} <= set(pairs)
    assert set(SHOWN_REVIEW) | set(SHOWN_BLOCK) <= set(GRID)


def test_no_line_costs_less_than_the_least_and_recall_is_worth_the_tolerance() -> None:
    found = table()
    assert min(choice.cost_minor for choice in found.choices) == found.cheapest.cost_minor
    assert found.cheapest.cost_minor <= found.favoured.cost_minor <= 1.05 * found.cheapest.cost_minor
    assert found.favoured.recall >= found.cheapest.recall


def test_the_least_cost_is_within_the_capacity_of_the_reviewers() -> None:
    free, bound = table(), table(COSTS.model_copy(update={"reviews_a_day": 4}))
    assert free.cheapest.most_reviews_a_day > 4 >= bound.cheapest.most_reviews_a_day
    assert bound.favoured.most_reviews_a_day <= 4
    assert bound.cheapest.cost_minor > free.cheapest.cost_minor
    for choice in bound.choices:
        assert (TOO_MANY in marks(bound, choice)) == (choice.most_reviews_a_day > 4)
    assert marks(bound, bound.served) == [SERVED, TOO_MANY]


def test_a_choice_that_is_served_and_cheapest_has_both_marks() -> None:
    chosen = table().cheapest
    found = table(policy=Thresholds(review=chosen.review, block=chosen.block))
    assert marks(found, found.served)[:2] == [SERVED, LEAST_COST]
    assert FAVOURED in marks(found, found.favoured)


def test_approving_everything_costs_what_all_frauds_lose() -> None:
    rows, _ = made_up()
    found = table()
    assert (found.rows, found.frauds, found.days) == (400, rows.labels.sum(), 5)
    assert found.fraud_minor == rows.amount_minor[rows.labels == 1].sum()
    assert found.without_minor == 0.5 * found.fraud_minor
    for choice in found.choices:
        assert choice.caught_minor + choice.missed_minor == found.fraud_minor


@pytest.mark.parametrize("days_later", [0, 3, 90])
def test_a_day_of_two_tests_is_a_day_of_each(days_later: int) -> None:
    rows, scores = made_up()
    later = replace(rows, event_time_ms=rows.event_time_ms + days_later * DAY_MS)
    once, twice = table(), threshold_table([(rows, scores), (later, scores)], POLICY, COSTS)
    assert twice.days == 2 * once.days
    assert twice.served.reviews == 2 * once.served.reviews
    assert twice.served.most_reviews_a_day == once.served.most_reviews_a_day


def test_without_a_fraud_nothing_is_caught_or_lost() -> None:
    rows, scores = made_up()
    found = threshold_table([(replace(rows, labels=np.zeros(400)), scores)], POLICY, COSTS)
    assert found.without_minor == found.cheapest.cost_minor == 0
    assert found.served.recall == 0.0


def test_the_assumptions_are_told_in_major_units() -> None:
    words = assumptions(COSTS)
    for figure in ("costs 3.00", "blocked 70.00", "50 % of its amount", "any number of reviews"):
        assert figure in words
    assert "at most 1,200 reviews" in assumptions(Costs(reviews_a_day=1200))
