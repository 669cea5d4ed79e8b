import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.training.evaluation.held_out_rows import made_up, ones
from training.evaluation.card_precision import card_days, card_precision_by_day
from training.evaluation.held_out import HeldOut
from training.models import Floats


def handbook_card_precision(rows: HeldOut, scores: Floats, k: int) -> list[float]:
    """Return the precision of each day as the handbook computes it, ties by customer."""
    frame = pd.DataFrame({"day": rows.day, "customer": rows.customer, "fraud": rows.labels, "prediction": scores})
    found: list[int] = []
    precision = []
    for day in sorted(frame["day"].unique()):
        today = frame[(frame["day"] == day) & ~frame["customer"].isin(found)]
        cards = today.groupby("customer").max().sort_values("prediction", ascending=False, kind="stable").head(k)
        detected = cards.index[cards["fraud"] == 1].tolist()
        found.extend(detected)
        precision.append(len(detected) / k)
    return precision


@given(seed=st.integers(0, 10_000), k=st.integers(1, 30), decimals=st.integers(1, 4))
def test_card_precision_equals_that_of_the_handbook(seed: int, k: int, decimals: int) -> None:
    rows, scores = made_up(rows=150, customers=30, seed=seed, decimals=decimals)
    cards = card_days(rows.day, rows.customer, rows.labels, scores)
    precision = card_precision_by_day(cards, k, ones(rows))[:, 0]
    assert precision.tolist() == pytest.approx(handbook_card_precision(rows, scores, k))


@given(seed=st.integers(0, 10_000), k=st.integers(1, 40))
def test_a_customer_of_weight_two_counts_as_two_customers(seed: int, k: int) -> None:
    rows, scores = made_up(rows=100, customers=12, seed=seed, decimals=6)
    weights = np.random.default_rng(seed).integers(0, 3, rows.customers).astype(np.float64)
    cards = card_days(rows.day, rows.customer, rows.labels, scores)
    weighted = card_precision_by_day(cards, k, weights[:, None]).mean()
    # The same with copies of the customers in place of weights; only a customer cut by the edge of the k differs:
    # one found copy takes the others out as well, as they are one person.
    if _is_cut_by_the_edge(rows, scores, weights, k):
        return
    copies = [(row, copy) for row in range(len(rows)) for copy in range(int(weights[rows.customer[row]]))]
    index = np.array([row for row, _ in copies], np.int64)
    whole = rows.take(index)
    customer = rows.customer[index] * 3 + np.array([copy for _, copy in copies], np.int64)
    copied = card_days(whole.day, customer, whole.labels, scores[index])
    plain = card_precision_by_day(copied, k, np.ones((rows.customers * 3, 1)))[:, 0]
    days = len(np.unique(rows.day))
    assert weighted * days == pytest.approx(plain.sum())


def _is_cut_by_the_edge(rows: HeldOut, scores: Floats, weights: Floats, k: int) -> bool:
    left = weights.copy()
    cards = card_days(rows.day, rows.customer, rows.labels, scores)
    for start, stop in zip(cards.starts[:-1], cards.starts[1:], strict=True):
        who = cards.customer[start:stop]
        reached = np.cumsum(left[who])
        if k < reached[-1] and k not in reached:
            return True
        found = who[(reached <= k) & cards.defrauded[start:stop]]
        left[found] = 0
    return False


def test_weightings_that_are_computed_together_do_not_touch_each_other() -> None:
    rows, scores = made_up(rows=300, customers=60, seed=5)
    # Under the second weighting most customers are absent, so it must look much further down the list.
    rare = (np.arange(60) % 15 == 0).astype(np.float64)
    weights = np.stack([np.ones(60), rare, 3 * rare], axis=1)
    cards = card_days(rows.day, rows.customer, rows.labels, scores)
    together = card_precision_by_day(cards, 3, weights)
    for column in range(3):
        alone = card_precision_by_day(cards, 3, weights[:, [column]])
        np.testing.assert_array_equal(together[:, [column]], alone)


def test_a_customer_found_on_one_day_is_left_out_on_the_next() -> None:
    day, customer = np.array([1, 1, 2, 2]), np.array([0, 1, 0, 1])
    labels, scores = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.9, 0.1, 0.9, 0.2])
    precision = card_precision_by_day(card_days(day, customer, labels, scores), 1, np.ones((2, 1)))
    assert precision[:, 0].tolist() == [1.0, 1.0]


def test_a_customer_without_weight_takes_no_place_and_finds_nothing() -> None:
    cards = card_days(np.zeros(2, np.int64), np.array([0, 1]), np.array([1.0, 1.0]), np.array([0.9, 0.1]))
    assert card_precision_by_day(cards, 1, np.array([[0.0], [1.0]])).tolist() == [[1.0]]
    assert card_precision_by_day(cards, 1, np.array([[0.0], [0.0]])).tolist() == [[0.0]]
