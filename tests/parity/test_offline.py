"""The offline evaluator equals the oracle, bit for bit."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import LOG_EVENTS, RECENT_EVENTS
from features.offline import offline_matrix
from tests.parity.histories import (
    MONDAY,
    by_time,
    histories,
    history_table,
    oracle_matrix,
    oracle_rows,
    outrun_tile,
)
from tests.parity.oracle import DAY, HOUR, Event


@given(histories())
def test_a_history_without_arrival_numbers_is_taken_in_order_of_event_time(events: list[Event]) -> None:
    expected = oracle_matrix(by_time(events))
    order = np.argsort([e.time for e in events], kind="stable") if events else np.zeros(0, int)
    np.testing.assert_array_equal(offline_matrix(history_table(events))[order], expected)


@given(histories(), st.randoms(use_true_random=False))
def test_arrival_numbers_decide_what_a_transaction_could_see(events: list[Event], random: object) -> None:
    """Rows lie in the table in another order than they arrived, and arrived in another than they happened."""
    rows = list(range(len(events)))
    random.shuffle(rows)  # type: ignore[attr-defined]
    table = history_table([events[row] for row in rows], [10 + 3 * row for row in rows])
    np.testing.assert_array_equal(offline_matrix(table), oracle_matrix(events)[rows])


@given(histories(), st.data())
def test_one_late_event_among_prompt_ones(events: list[Event], data: st.DataObject) -> None:
    arrivals = by_time(events)
    if arrivals:
        late = arrivals.pop(data.draw(st.integers(0, len(arrivals) - 1)))
        arrivals.insert(data.draw(st.integers(0, len(arrivals))), late)
    table = history_table(arrivals, range(len(arrivals)))
    np.testing.assert_array_equal(offline_matrix(table), oracle_matrix(arrivals))


def test_a_day_that_later_events_pushed_out_of_the_tiles() -> None:
    assert_equal_to_oracle(outrun_tile())


def test_more_ties_at_a_merchant_than_it_remembers() -> None:
    ties = [Event(f"t{i}", MONDAY, 100 + i, f"c{i}", "shop") for i in range(2 * RECENT_EVENTS)]
    earlier = Event("late", MONDAY - HOUR, 7, "c", "shop")
    after = Event("after", MONDAY + 1, 9, "c", "shop")
    prompt = [earlier, *ties, after]
    late = [*ties[:40], earlier, *ties[40:], after]
    assert_equal_to_oracle(prompt)
    assert_equal_to_oracle(late)


def test_a_log_forgets_the_oldest_arrivals() -> None:
    spread = [Event(f"t{i}", MONDAY + i * 60_000, 100 + i, "ann", device="phone") for i in range(LOG_EVENTS + 30)]
    rows = [LOG_EVENTS - 1, LOG_EVENTS, LOG_EVENTS + 1, LOG_EVENTS + 29]
    assert_equal_to_oracle(spread, rows)


def test_a_log_of_ties_holds_nothing_before_them() -> None:
    ties = [Event(f"t{i}", MONDAY, 100 + i, "ann", place=(i, i)) for i in range(LOG_EVENTS + 3)]
    first = Event("first", MONDAY - HOUR, 7, "ann", place=(5, 5))
    rows = [LOG_EVENTS - 1, LOG_EVENTS, LOG_EVENTS + 1, LOG_EVENTS + 3]
    assert_equal_to_oracle([first, *ties], rows)


def test_a_log_forgets_the_oldest_arrivals_when_they_are_late_too() -> None:
    """The newest event leaves the log by arrival, and with it the bound that it set on the others."""
    future = Event("future", MONDAY + 40 * DAY, 5, "ann", device="phone")
    spread = [Event(f"t{i}", MONDAY + i * 60_000, 100 + i, "ann", device="phone") for i in range(LOG_EVENTS + 30)]
    rows = [1, LOG_EVENTS - 1, LOG_EVENTS, LOG_EVENTS + 1, LOG_EVENTS + 20]
    assert_equal_to_oracle([future, *spread], rows)


def assert_equal_to_oracle(arrivals: list[Event], rows: list[int] | None = None) -> None:
    rows = list(range(len(arrivals))) if rows is None else rows
    matrix = offline_matrix(history_table(arrivals, range(len(arrivals))))
    np.testing.assert_array_equal(matrix[rows], oracle_rows(arrivals, rows))
