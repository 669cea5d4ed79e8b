"""Labels that come early, late, twice, corrected, or never: online, offline and oracle count them alike.

And what is not known before t, nobody sees at t (docs/adr/0010-labels.md).
"""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import LABEL_DELAY_MS, MERCHANT_COLUMNS
from features.formulas import feature_matrix
from features.history import history_to_batch
from features.label import LABELS_A_CALL, LabelOutcome
from features.layout import RECENT_CHANGES
from features.offline import offline_columns, offline_matrix
from features.online import OnlineStore
from tests.parity.histories import MONDAY, by_time, history_table, labelled_histories, oracle_matrix
from tests.parity.oracle import DAY, HOUR, Event
from tests.parity.test_online import SIZES, assert_equal, give, replay

FRAUDS_30D = "merchant_delayed_frauds_30d"


@given(labelled_histories(), SIZES)
def test_labels_of_a_history_in_order_of_event_time(
    store: OnlineStore, events: list[Event], sizes: list[int]
) -> None:
    assert_equal(replay(store, by_time(events), sizes), by_time(events))


# Half of the payments lie in the windows of the others, and their labels come between those.
@given(
    labelled_histories(
        days=(0, 1, 9, 10, 12), delays=(DAY, *(n * DAY + ms for n in (9, 10, 11) for ms in (-1, 0)))
    ),
    SIZES,
)
def test_labels_of_transactions_in_any_order_of_arrival(
    store: OnlineStore, events: list[Event], sizes: list[int]
) -> None:
    """Labels known before a late transaction arrived, but not before it happened, are taken out again."""
    assert_equal(replay(store, events, sizes), events)


@given(labelled_histories(days=(0, 1, 7, 8, 9, 38, 39, 45, 55), max_size=40), st.randoms(use_true_random=False))
def test_offline_equals_the_oracle_over_any_length_of_time(events: list[Event], shuffled: random.Random) -> None:
    rows = list(range(len(events)))
    shuffled.shuffle(rows)
    table = history_table([events[row] for row in rows], rows)
    np.testing.assert_array_equal(offline_matrix(table), oracle_matrix(events)[rows])


@given(labelled_histories(max_size=40), st.data())
def test_labels_known_after_t_can_be_anyones_without_a_change_at_t(
    events: list[Event], data: st.DataObject
) -> None:
    """The labels of the future change places, and verdicts: no feature at or before t moves."""
    t = data.draw(st.sampled_from([event.time for event in events])) if events else MONDAY
    future = data.draw(st.permutations([known_from(event, t) for event in events]))
    other = [with_future(event, t, labels, fraud) for event, (labels, fraud) in zip(events, future, strict=True)]
    until_t = [row for row, event in enumerate(events) if event.time <= t]
    for arrival in (None, range(len(events))):
        before, after = (offline_matrix(history_table(labelled, arrival)) for labelled in (events, other))
        np.testing.assert_array_equal(before[until_t], after[until_t])


def known_from(event: Event, t: int) -> tuple[tuple[tuple[int, bool], ...], bool]:
    """Return the labels that become known at t or later, and whether a label without a time says fraud."""
    return tuple(label for label in event.labels or () if label[0] >= t), event.fraud


def with_future(event: Event, t: int, labels: tuple[tuple[int, bool], ...], fraud: bool) -> Event:
    """Return the event with what is known of it before t, and somebody else's labels from t on."""
    if event.labels is None:
        return replace(event, fraud=fraud) if event.time + LABEL_DELAY_MS >= t else event
    return replace(event, labels=(*(label for label in event.labels if label[0] < t), *labels))


def test_permuting_the_future_of_a_busy_month_leaves_the_past_as_it_was() -> None:
    """The same over 4,000 payments, where every window holds labels; and labels of the past do matter."""
    rng = np.random.default_rng(3)
    t = MONDAY + 40 * DAY
    events = busy_month(rng)
    labels = [(i, label) for i, event in enumerate(events) for label in event.labels or ()]
    changed = {}
    for name, moved in (("future", [known >= t for _, (known, _) in labels]), ("past", [True] * len(labels))):
        chosen = [i for i, move in enumerate(moved) if move]
        owners = [i for i, _ in labels]
        for i, j in zip(chosen, rng.permutation(chosen), strict=True):
            owners[i] = labels[j][0]
        given_to: dict[int, list[tuple[int, bool]]] = {}
        for owner, (_, label) in zip(owners, labels, strict=True):
            given_to.setdefault(owner, []).append(label)
        other = [replace(event, labels=tuple(given_to.get(i, ()))) for i, event in enumerate(events)]
        rows = [i for i, event in enumerate(events) if event.time <= t]
        before, after = (offline_matrix(history_table(h))[rows] for h in (events, other))
        changed[name] = int((before != after).sum())
    assert changed["future"] == 0
    assert changed["past"] > 1000


def busy_month(rng: np.random.Generator) -> list[Event]:
    times = np.sort(rng.integers(0, 55 * DAY, 4000))
    return [
        Event(
            f"t{i}",
            MONDAY + int(time),
            100,
            f"c{i % 50}",
            f"m{rng.integers(5)}",
            labels=((MONDAY + int(time) + int(rng.integers(0, 20 * DAY)), bool(rng.random() < 0.5)),),
        )
        for i, time in enumerate(times)
    ]


LATE = MONDAY + 12 * DAY
"""A label of Monday is late then: the window holds its first quarter from the 8th day, 06:00, on."""


@pytest.mark.parametrize(
    ("labels", "seen"),
    [
        pytest.param([(MONDAY + HOUR, True)], [0, 1, 1, 1, 0], id="early"),
        pytest.param([(LATE, True)], [0, 0, 1, 1, 0], id="late"),
        pytest.param([(MONDAY + HOUR, True), (LATE, False)], [0, 1, 0, 0, 0], id="corrected"),
        pytest.param([(MONDAY + HOUR, False), (LATE, True)], [0, 0, 1, 1, 0], id="corrected the other way"),
        pytest.param([(MONDAY + HOUR, True), (LATE, True)], [0, 1, 1, 1, 0], id="posted again"),
        pytest.param([], [0, 0, 0, 0, 0], id="missing"),
        pytest.param([(MONDAY + 60 * DAY, True)], [0, 0, 0, 0, 0], id="too late"),
    ],
)
def test_what_a_label_counts_and_when(
    store: OnlineStore, labels: Sequence[tuple[int, bool]], seen: list[int]
) -> None:
    """At 06:00 of the 8th day less a moment, then at it, just after the late label, and as 30 days end."""
    ready = 7 * DAY + 6 * HOUR
    moments = (ready - 1, ready, 12 * DAY + 1, ready + 30 * DAY - 1, ready + 30 * DAY)
    fraud = Event("fraud", MONDAY, 100, "ann", "shop", labels=tuple(labels), fraud=True)
    arrivals = [fraud, *(Event(f"t{m}", MONDAY + m, 100, "bob", "shop", labels=()) for m in moments)]
    columns = offline_columns(history_table(arrivals))
    assert columns[FRAUDS_30D].tolist()[1:] == seen
    assert_equal(replay(store, arrivals, [1]), arrivals)


def test_a_transaction_does_not_see_a_label_of_its_own_moment(store: OnlineStore) -> None:
    fraud = Event("fraud", MONDAY, 100, "ann", "shop", labels=((LATE, True),))
    arrivals = [fraud, *(Event(f"t{ms}", LATE + ms, 100, "bob", "shop") for ms in (0, 1))]
    assert offline_columns(history_table(arrivals))[FRAUDS_30D].tolist() == [0, 0, 1]
    assert_equal(replay(store, arrivals, [3]), arrivals)


def test_a_label_before_its_transaction_counts_as_a_fraud(store: OnlineStore) -> None:
    """The client's analysts were faster than its own queue: the payment arrives after ten days."""
    fraud = Event("fraud", MONDAY, 100, "ann", "shop", labels=((MONDAY + HOUR, True),))
    then = Event("then", MONDAY + 9 * DAY, 100, "bob", "shop")
    arrivals = [then, fraud, replace(then, id="after", time=then.time + 1)]
    assert offline_columns(history_table(arrivals, range(3)))[FRAUDS_30D].tolist() == [1, 0, 1]
    assert_equal(replay(store, arrivals, [1]), arrivals)


def test_a_retry_sees_the_labels_of_its_first_attempt(store: OnlineStore) -> None:
    store.clear()
    fraud, then = Event("fraud", MONDAY, 100, "ann", "shop"), Event("then", LATE, 100, "bob", "shop")
    _, first = (store.observe(history_to_batch(history_table([event]))) for event in (fraud, then))
    assert give(store, [(LATE + 5, fraud, True)]) == [LabelOutcome.NEW]
    again = store.observe(history_to_batch(history_table([then])))
    for name in MERCHANT_COLUMNS:
        np.testing.assert_array_equal(again[name], first[name], name)
    later = store.observe(history_to_batch(history_table([replace(then, id="later", time=LATE + 6)])))
    assert later[FRAUDS_30D].tolist() == [1]


def test_more_later_changes_than_a_merchant_remembers_are_seen_beyond_the_newest(store: OnlineStore) -> None:
    """The stated limit, in numbers: two of 26 labels are too many to be taken out of a late transaction's past."""
    store.clear()
    frauds = [Event(f"f{i}", MONDAY, 100, f"c{i}", "shop") for i in range(RECENT_CHANGES + 2)]
    store.append(history_to_batch(history_table(frauds)))
    give(store, [(LATE + i, fraud, True) for i, fraud in enumerate(frauds)])
    late = [Event("late", LATE, 100, "bob", "shop"), Event("prompt", LATE + 100, 100, "bob", "shop")]
    seen = store.observe(history_to_batch(history_table(late)))
    assert seen[FRAUDS_30D].tolist() == [2, RECENT_CHANGES + 2]


@given(labelled_histories(days=(10, 20, 30), delays=(0, DAY, 2 * DAY)), st.data())
def test_posting_labels_again_in_any_order_ends_in_the_same_state(
    store: OnlineStore, events: list[Event], data: st.DataObject
) -> None:
    """Of a transaction the verdict known last stands, however often and in whatever order its labels come."""
    end = MONDAY + 46 * DAY
    labels = {(known, e.id): (known, e, fraud) for e in events for known, fraud in e.labels or () if known < end}
    in_order = sorted(labels.values(), key=lambda label: label[0])
    after = [Event(f"after{d}", end + d * DAY, 100, "bob", shop) for d in (0, 4, 8) for shop in ("shop", "café")]
    ends = []
    for order in (in_order, data.draw(st.permutations(in_order * 2))):
        store.clear()
        give(store, order)
        ends.append(feature_matrix(store.observe(history_to_batch(history_table(after)))))
    np.testing.assert_array_equal(ends[0], ends[1])


def test_each_quarter_of_a_day_enters_and_leaves_the_windows_by_itself(store: OnlineStore) -> None:
    """Two payments a quarter over two days, one of them a fraud; asked a moment before and at the edge of each."""
    quarter = 6 * HOUR
    labels = {fraud: ((MONDAY, fraud),) for fraud in (True, False)}
    paid = [
        Event(f"p{i}", MONDAY + i * quarter // 2, 100, f"c{i}", "shop", labels=labels[i % 2 == 0])
        for i in range(16)
    ]
    edges = [MONDAY + 7 * DAY + days * DAY + i * quarter for days in (0, 1, 7, 30) for i in range(1, 9)]
    asked = [Event(f"a{t}", t, 100, "ann", "shop") for edge in sorted(set(edges)) for t in (edge - 1, edge)]
    arrivals = [*paid, *asked]
    columns = offline_columns(history_table(arrivals))
    one_day = columns["merchant_delayed_frauds_1d"][16:]
    assert one_day[:24].tolist() == [0, 1, 1, 2, 2, 3, 3, *[4] * 10, 3, 3, 2, 2, 1, 1, 0]
    assert_equal(replay(store, arrivals, [5]), arrivals)


def test_a_day_of_a_merchant_counts_65_535_frauds_at_most(store: OnlineStore) -> None:
    """The stated limit, in numbers: two bytes a count."""
    store.clear()
    frauds = [Event(f"f{i}", MONDAY, 100, "ann", "shop") for i in range(LABELS_A_CALL)]
    for turn in range(65_536 // LABELS_A_CALL + 1):
        give(store, [(MONDAY, replace(fraud, id=f"{turn}-{fraud.id}"), True) for fraud in frauds])
    seen = store.observe(history_to_batch(history_table([Event("then", LATE, 100, "bob", "shop")])))
    assert seen[FRAUDS_30D].tolist() == [65_535]


def test_a_tile_that_is_used_again_begins_anew(store: OnlineStore) -> None:
    """Of the first day's quarters nothing is left in those of the day 48 days later."""
    known = ((MONDAY + 48 * DAY + 14 * HOUR, True),)
    first = Event("first", MONDAY + HOUR, 100, "ann", "shop", labels=((MONDAY + 2 * HOUR, True),))
    again = [replace(first, id=f"a{h}", time=MONDAY + 48 * DAY + h * HOUR, labels=known) for h in (13, 14)]
    asked = [Event(f"t{h}", MONDAY + 55 * DAY + h * HOUR, 100, "bob", "shop") for h in (6, 12, 18, 24)]
    arrivals = [first, *again, *asked]
    assert offline_columns(history_table(arrivals))[FRAUDS_30D].tolist()[3:] == [0, 0, 2, 2]
    assert_equal(replay(store, arrivals, [1]), arrivals)


def test_a_retry_does_not_see_a_payment_of_the_delayed_window_that_arrived_after_it(store: OnlineStore) -> None:
    store.clear()
    then = Event("then", LATE, 100, "bob", "shop")
    late = Event("late", LATE - 9 * DAY, 100, "ann", "shop")
    seen = [store.observe(history_to_batch(history_table([event]))) for event in (then, late, then)]
    assert [columns["merchant_delayed_count_30d"].tolist() for columns in seen] == [[0], [0], [0]]
