import numpy as np
import pytest

from training.evaluation.held_out import IN_ALL, grouped
from training.evaluation.slices import slices
from training.models import Floats

LABELS = np.array([1.0, 0.0, 1.0, 0.0])
AMOUNT = np.array([2_499, 2_500, 24_999, 25_000])
SOME: Floats = np.array([0.0, 1.0, 2.0, 0.0])


def test_every_row_is_in_one_amount_band() -> None:
    found = slices(LABELS, AMOUNT, SOME, SOME, SOME, [None] * 4)["amount"]
    assert [found.names[code] for code in found.code] == ["0 to 25", "25 to 100", "100 to 250", "250 and more"]


def test_a_merchant_with_known_frauds_is_that_before_it_is_anything_else() -> None:
    found = slices(LABELS, AMOUNT, SOME, np.array([0.0, 5, 5, 0]), np.array([0.0, 1, 0, 2]), [None] * 4)[
        "merchant"
    ]
    words = ["new (no payment in 30 days)", "with known frauds", "without known frauds", "with known frauds"]
    assert [found.names[code] for code in found.code] == words


def test_genuine_payments_belong_to_every_fraud_pattern_and_unlabelled_patterns_are_unknown() -> None:
    found = slices(LABELS, AMOUNT, SOME, SOME, SOME, ["takeover", "ignored", None, None])["fraud pattern"]
    assert found.names == ("takeover", "unknown")
    assert found.rows("takeover").tolist() == [True, True, False, True]
    assert found.rows("unknown").tolist() == [False, True, True, True]


def test_a_history_that_knows_no_pattern_has_no_such_slices() -> None:
    assert "fraud pattern" not in slices(LABELS, AMOUNT, SOME, SOME, SOME, [None] * 4)


def test_the_first_condition_that_holds_names_the_group() -> None:
    both = [("a", np.array([True, False])), ("b", np.array([True, False]))]
    assert grouped(both, 2).code.tolist() == [0, IN_ALL]


def test_an_unknown_group_is_an_error() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        grouped([("a", np.array([True]))], 1).rows("b")
