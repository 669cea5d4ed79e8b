"""The online evaluator equals the offline one and the oracle, bit for bit, against a real Valkey."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np
import redis
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import AGGREGATE_COLUMNS, LABEL_DELAY_MS, LOG_EVENTS, RECENT_EVENTS
from features.formulas import OWN_COLUMNS, feature_matrix
from features.history import history_to_batch
from features.label import LabelBatch, LabelOutcome
from features.offline import offline_columns
from features.online import OnlineStore
from features.transaction import Int64s
from tests.parity.histories import (
    MONDAY,
    busy_histories,
    by_time,
    histories,
    history_table,
    oracle_matrix,
    outrun_tile,
    times,
)
from tests.parity.oracle import DAY, HOUR, MINUTE, Event

Columns = dict[str, Int64s]

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=12)
"""Sizes of micro-batches, taken in turn."""


@given(histories(), SIZES)
def test_events_in_any_order_of_arrival(store: OnlineStore, events: list[Event], sizes: list[int]) -> None:
    arrivals = [replace(event, fraud=False) for event in events]
    assert_equal(replay(store, arrivals, sizes), arrivals)


@given(busy_histories(), st.lists(st.integers(1, 64), min_size=1, max_size=12))
def test_merchants_with_more_payments_than_their_tail_holds(
    store: OnlineStore, events: list[Event], sizes: list[int]
) -> None:
    seen = replay(store, events, sizes)
    expected = offline_columns(history_table(events, range(len(events))))
    for name in AGGREGATE_COLUMNS:
        np.testing.assert_array_equal(seen[name], expected[name], name)


@given(histories(time=times(range(46))), SIZES)
def test_labels_that_arrive_with_their_delay(store: OnlineStore, events: list[Event], sizes: list[int]) -> None:
    """In 46 days no tile of frauds is reused, whatever the order of arrival."""
    assert_equal(replay(store, by_time(events), sizes), by_time(events))
    assert_equal(replay(store, events, sizes), events)


@given(histories(time=st.integers(MONDAY, MONDAY + 3)))
def test_a_batch_of_one_moment(store: OnlineStore, events: list[Event]) -> None:
    """Many transactions of one customer in one micro-batch see each other in order, and ties do not count."""
    assert_equal(replay(store, events, [len(events) or 1]), events)


@given(
    histories(time=times(range(30))),
    histories(max_size=RECENT_EVENTS - 8, time=st.integers(0, 10)),
    SIZES,
    st.data(),
)
def test_a_retried_transaction_is_not_counted_twice_and_sees_what_it_saw(
    store: OnlineStore, before: list[Event], minutes: list[Event], sizes: list[int], data: st.DataObject
) -> None:
    """Retries come within minutes; by then no tile that the first attempt saw has been reused."""
    start = MONDAY + 30 * DAY
    now = [replace(e, id=f"now{e.id}", time=start + e.time * MINUTE) for e in minutes]
    arrivals = [replace(event, fraud=False) for event in [*before, *now]]
    attempts = list(range(len(arrivals)))
    for retried in data.draw(st.lists(st.sampled_from(attempts[len(before) :]), max_size=8)) if now else []:
        attempts.insert(data.draw(st.integers(attempts.index(retried) + 1, len(attempts))), retried)
    seen = replay(store, [arrivals[i] for i in attempts], sizes)
    expected = offline_columns(history_table(arrivals, range(len(arrivals))))
    for name in AGGREGATE_COLUMNS:
        np.testing.assert_array_equal(seen[name], expected[name][attempts], name)


@given(histories(), SIZES, st.data())
def test_a_backfill_leaves_the_state_that_scoring_would_have_left(
    store: OnlineStore, events: list[Event], sizes: list[int], data: st.DataObject
) -> None:
    arrivals = [replace(event, fraud=False) for event in events]
    cut = data.draw(st.integers(0, len(arrivals)))
    store.clear()
    for part in batches(arrivals[:cut], sizes):
        store.append(history_to_batch(history_table(part)))
    seen = observe(store, batches(arrivals[cut:], sizes))
    expected = offline_columns(history_table(arrivals, range(len(arrivals))))
    for name in AGGREGATE_COLUMNS:
        np.testing.assert_array_equal(seen[name], expected[name][cut:], name)


@given(histories(time=times((30, 31))), histories(time=times((30, 31))))
def test_two_batches_at_once_are_seen_as_if_one_came_first(
    valkey_socket: str, store: OnlineStore, left: list[Event], right: list[Event]
) -> None:
    store.clear()
    halves = [
        [replace(e, id=f"{name}{e.id}", fraud=False) for e in half]
        for name, half in (("left", left), ("right", right))
    ]
    seen: dict[int, Columns] = {}
    together = threading.Barrier(2)

    def send(half: int) -> None:
        with redis.Redis(unix_socket_path=valkey_socket) as client:
            client.ping()
            together.wait()
            seen[half] = observe(OnlineStore(client), [halves[half]])

    threads = [threading.Thread(target=send, args=(half,)) for half in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    matrices = [feature_matrix(seen[half]) for half in (0, 1)]
    left_first = oracle_matrix([*halves[0], *halves[1]])
    right_first = oracle_matrix([*halves[1], *halves[0]])
    assert np.array_equal(np.vstack(matrices), left_first) or np.array_equal(
        np.vstack(matrices[::-1]), right_first
    )


def test_a_day_that_later_events_pushed_out_of_the_tiles(store: OnlineStore) -> None:
    assert_equal(replay(store, outrun_tile(), [1]), outrun_tile())


def test_more_ties_at_a_merchant_than_it_remembers(store: OnlineStore) -> None:
    ties = [Event(f"t{i}", MONDAY, 100 + i, f"c{i}", "shop") for i in range(2 * RECENT_EVENTS + 3)]
    earlier, after = Event("e", MONDAY - HOUR, 7, "c", "shop"), Event("a", MONDAY + 1, 9, "c", "shop")
    arrivals = [*ties[:40], earlier, *ties[40:], after]
    assert_equal(replay(store, arrivals, [7]), arrivals)


def test_a_log_forgets_the_oldest_arrivals(store: OnlineStore) -> None:
    """The store cuts its logs at twice the bound; what it still has beyond the bound does not count."""
    future = Event("future", MONDAY + 40 * DAY, 5, "ann", device="phone")
    spread = [
        Event(f"t{i}", MONDAY + i * MINUTE, 100 + i, "ann", device="phone") for i in range(2 * LOG_EVENTS + 4)
    ]
    arrivals = [future, *spread]
    expected = offline_columns(history_table(arrivals, range(len(arrivals))))
    store.clear()
    done = 0
    for edge in (LOG_EVENTS, 2 * LOG_EVENTS):
        store.append(history_to_batch(history_table(arrivals[done : edge - 3])))
        seen = store.observe(history_to_batch(history_table(arrivals[edge - 3 : edge + 5])))
        for name in AGGREGATE_COLUMNS:
            np.testing.assert_array_equal(seen[name], expected[name][edge - 3 : edge + 5], name)
        done = edge + 5


def assert_equal(seen: Columns, arrivals: Sequence[Event]) -> None:
    """Check the online columns against the offline ones, and the matrix against the oracle's."""
    expected = offline_columns(history_table(arrivals, range(len(arrivals))))
    for name in AGGREGATE_COLUMNS:
        np.testing.assert_array_equal(seen[name], expected[name], name)
    np.testing.assert_array_equal(feature_matrix(seen), oracle_matrix(arrivals))


def replay(store: OnlineStore, arrivals: Sequence[Event], sizes: list[int]) -> Columns:
    """Return what an emptied store says of each event; labels become known as the clock passes their time."""
    store.clear()
    clock, seen = 0, []
    pending = [(known, event, fraud) for event in arrivals for known, fraud in event.labels or ()]
    for batch in batches(arrivals, sizes):
        clock = max(clock, *(event.time for event in batch))
        due = sorted((label for label in pending if label[0] < clock), key=lambda label: label[0])
        outcomes = give(store, due)
        assert set(outcomes) <= {LabelOutcome.NEW, LabelOutcome.REPEATED, LabelOutcome.CORRECTED}
        if outcomes[-1:]:
            assert give(store, due[-1:]) == [LabelOutcome.REPEATED]
        seen.append(observe(store, [batch]))
        pending = [label for label in pending if label[0] >= clock]
        # Where the time of knowing is not recorded, the label comes with its delay, and after its transaction.
        pending += [
            (event.time + LABEL_DELAY_MS, event, True) for event in batch if event.fraud and event.labels is None
        ]
    return joined(seen)


def give(
    store: OnlineStore, labels: Sequence[tuple[int, Event, bool]], source: str | None = None
) -> list[LabelOutcome]:
    """Return what the store made of labels: when known, of which event, fraud or not; and who said so."""
    return store.take_labels(
        LabelBatch(
            [event.id for _, event, _ in labels],
            [event.merchant for _, event, _ in labels],
            np.array([event.time for _, event, _ in labels], np.int64),
            np.array([known for known, _, _ in labels], np.int64),
            np.array([fraud for _, _, fraud in labels], np.bool_),
            None if source is None else [source] * len(labels),
        )
    )


def batches(arrivals: Sequence[Event], sizes: list[int]) -> Iterator[list[Event]]:
    """Yield micro-batches of the given sizes, cut short where a label of the batch itself becomes known."""
    turns, size = cycle(sizes[1:] + sizes[:1]), sizes[0]
    batch: list[Event] = []
    for event in arrivals:
        known = any(e.fraud and e.labels is None and e.time + LABEL_DELAY_MS <= event.time for e in batch)
        if batch and (known or len(batch) == size):
            yield batch
            batch, size = [], next(turns)
        batch.append(event)
    if batch:
        yield batch


def observe(store: OnlineStore, parts: Iterable[Sequence[Event]]) -> Columns:
    """Return what the store says of micro-batches, one after the other."""
    return joined([store.observe(history_to_batch(history_table(part))) for part in parts if part])


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the columns of parts laid end to end."""
    none = np.zeros(0, np.int64)
    names = (*OWN_COLUMNS, *AGGREGATE_COLUMNS)
    return {name: np.concatenate([none, *(part[name] for part in parts)]) for name in names}
