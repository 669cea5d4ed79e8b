from datetime import date

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import DAY_MS
from tests.unit.training.evaluation.test_protocols import days
from training.arrivals import milliseconds
from training.evaluation.known_frauds import judged_rows
from training.evaluation.protocols import Fold, Protocol, folds_of

FOLD: Fold = folds_of(Protocol(test_since=(date(2018, 8, 8),)), days())[0]
START = milliseconds(FOLD.train.since)


def handbook_rows(day: list[int], customer: list[int], fraud: list[bool]) -> list[bool]:
    """Return the test rows of the handbook's ``get_train_test_set``; day 0 is the first of training."""
    rows = range(len(day))
    known = {customer[i] for i in rows if 0 <= day[i] < 7 and fraud[i]}
    judged = [False] * len(day)
    for test_day in range(14, 21):
        known |= {customer[i] for i in rows if day[i] == test_day - 8 and fraud[i]}
        for i in rows:
            judged[i] |= day[i] == test_day and customer[i] not in known
    return judged


DAYS = (-1, 0, 6, 7, 8, 9, 13, 14, 15, 16, 17, 20, 21)
"""Days that lie a delay apart, and the edges of the periods."""


@given(st.lists(st.tuples(st.sampled_from(DAYS), st.integers(0, 2), st.booleans()), min_size=4, max_size=30))
def test_the_judged_rows_are_those_of_the_handbook(rows: list[tuple[int, int, bool]]) -> None:
    day, customer, fraud = (list(column) for column in zip(*rows, strict=True))
    time = np.array([START + d * DAY_MS + 5 for d in day])
    judged = judged_rows(FOLD, time, np.array(customer), np.array(fraud, np.float64))
    assert judged.tolist() == handbook_rows(day, customer, fraud)


def test_a_fraud_makes_a_customer_known_on_the_eighth_day_after_it() -> None:
    time = np.array([START + d * DAY_MS for d in (7, 14, 15)])
    judged = judged_rows(FOLD, time, np.zeros(3, np.int64), np.array([1.0, 0.0, 0.0]))
    assert judged.tolist() == [False, True, False]


def test_where_nobody_is_left_out_every_row_of_the_test_is_judged() -> None:
    fold = folds_of(Protocol(test_since=(date(2018, 8, 8),), remove_known=False), days())[0]
    time = np.array([START + d * DAY_MS for d in (0, 14, 20, 21)])
    judged = judged_rows(fold, time, np.zeros(4, np.int64), np.ones(4))
    assert judged.tolist() == [False, True, True, False]
