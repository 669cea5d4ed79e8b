"""Labels in the online store, one by one: which verdict stands, what its merchant counts, what the store keeps."""

from collections.abc import Iterator

import numpy as np
import pytest
import redis

from features.definitions import DAY_MS, DAY_QUARTER_MS
from features.label import LabelBatch, LabelOutcome
from features.layout import LABEL_BYTES, MERCHANT_TTL_S, RECENT, RECENT_CHANGES, TILES
from features.online import OnlineStore, key_prefix
from features.transaction import NO_PLACE, TransactionBatch

NEW, REPEATED, CORRECTED, SUPERSEDED, CONFLICT = LabelOutcome
MONDAY_MS = 1_746_403_200_000
"""2025-05-05 00:00 UTC: the day of the labelled transactions."""
SEEN_MS = MONDAY_MS + 9 * DAY_MS
"""A moment at which the windows hold that day."""


@pytest.fixture
def client(valkey_socket: str) -> Iterator["redis.Redis"]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        yield client


@pytest.fixture
def store(client: "redis.Redis") -> OnlineStore:
    return OnlineStore(client)


def say(
    store: OnlineStore,
    is_fraud: bool,
    known_ms: int,
    *,
    name: str = "t1",
    merchant: str | None = "shop",
    time_ms: int = MONDAY_MS,
) -> LabelOutcome:
    label = LabelBatch([name], [merchant], np.array([time_ms]), np.array([known_ms]), np.array([is_fraud]))
    [outcome] = store.take_labels(label)
    return outcome


def frauds(store: OnlineStore, moment_ms: int = SEEN_MS) -> int:
    """Return the frauds of 30 days that a payment at the shop sees."""
    frauds.asked += 1  # type: ignore[attr-defined]
    none, no_place = [None], np.array([NO_PLACE], np.int32)
    batch = TransactionBatch(
        transaction_id=[f"asks{frauds.asked}"],  # type: ignore[attr-defined]
        event_time_ms=np.array([moment_ms]),
        amount_minor=np.array([100]),
        customer_id=["ann"],
        merchant_id=["shop"],
        device_id=[None],
        lat_udeg=no_place,
        long_udeg=no_place,
        currency=[*none],
        merchant_category=[*none],
        transaction_type=[*none],
        geo_location=[*none],
    )
    return int(store.observe(batch)["merchant_delayed_frauds_30d"][0])


frauds.asked = 0  # type: ignore[attr-defined]


def test_a_verdict_counts_until_it_is_corrected_and_again_when_that_is(store: OnlineStore) -> None:
    for known_ms, is_fraud, outcome in ((1, True, NEW), (2, False, CORRECTED), (3, True, CORRECTED)):
        assert say(store, is_fraud, MONDAY_MS + known_ms) == outcome
        assert frauds(store) == is_fraud
        assert say(store, is_fraud, MONDAY_MS + known_ms) == REPEATED
        assert frauds(store) == is_fraud


def test_a_first_verdict_of_no_fraud_counts_nothing(store: OnlineStore, client: "redis.Redis") -> None:
    assert say(store, False, MONDAY_MS) == NEW
    assert client.exists(key_prefix() + b"m:shop") == 0
    assert frauds(store) == 0


def test_what_was_known_earlier_does_not_replace_what_is_known_later(store: OnlineStore) -> None:
    assert say(store, False, MONDAY_MS + 5) == NEW
    assert say(store, True, MONDAY_MS + 4) == SUPERSEDED
    assert frauds(store) == 0
    assert say(store, True, MONDAY_MS + 6) == CORRECTED
    assert say(store, False, MONDAY_MS + 5) == SUPERSEDED
    assert frauds(store) == 1


def test_a_repetition_makes_older_verdicts_older(store: OnlineStore) -> None:
    assert say(store, True, MONDAY_MS + 1) == NEW
    assert say(store, True, MONDAY_MS + 9) == REPEATED
    assert say(store, False, MONDAY_MS + 5) == SUPERSEDED
    assert frauds(store) == 1


def test_of_verdicts_of_the_same_moment_the_last_stands(store: OnlineStore) -> None:
    assert [say(store, is_fraud, MONDAY_MS) for is_fraud in (True, False)] == [NEW, CORRECTED]
    assert frauds(store) == 0


@pytest.mark.parametrize(
    ("merchant", "time_ms"), [("other", MONDAY_MS), (None, MONDAY_MS), ("shop", MONDAY_MS + DAY_QUARTER_MS)]
)
def test_a_label_that_contradicts_the_first_on_merchant_or_quarter_changes_nothing(
    store: OnlineStore, merchant: str | None, time_ms: int
) -> None:
    assert say(store, True, MONDAY_MS) == NEW
    assert say(store, False, MONDAY_MS + 1, merchant=merchant, time_ms=time_ms) == CONFLICT
    assert say(store, True, MONDAY_MS + 2, time_ms=MONDAY_MS + DAY_QUARTER_MS - 1) == REPEATED
    assert frauds(store) == 1


def test_a_label_without_merchant_is_remembered_and_counts_nowhere(
    store: OnlineStore, client: "redis.Redis"
) -> None:
    assert say(store, True, MONDAY_MS, merchant=None) == NEW
    assert say(store, True, MONDAY_MS, merchant=None) == REPEATED
    assert client.keys(key_prefix() + b"m:*") == []


def test_labels_of_one_request_are_taken_in_their_order(store: OnlineStore) -> None:
    names, verdicts = ["a", "b", "a", "a"], np.array([True, True, False, False])
    known_ms = MONDAY_MS + np.array([0, 0, 1, 0])
    batch = LabelBatch(names, ["shop"] * 4, np.full(4, MONDAY_MS), known_ms, verdicts)
    assert store.take_labels(batch) == [NEW, NEW, CORRECTED, SUPERSEDED]
    assert frauds(store) == 1
    assert store.take_labels(LabelBatch([], [], np.array([]), np.array([]), np.array([]))) == []


def test_repetitions_do_not_push_out_what_a_late_payment_must_not_see(store: OnlineStore) -> None:
    assert say(store, True, SEEN_MS + 1) == NEW
    for repetition in range(2 * RECENT_CHANGES):
        assert say(store, True, SEEN_MS + 2 + repetition) == REPEATED
    assert frauds(store, SEEN_MS + 1) == 0
    assert frauds(store, SEEN_MS + 2) == 1


def test_a_label_of_a_day_that_newer_ones_have_overtaken_changes_no_newer_day(store: OnlineStore) -> None:
    newer = {"name": "newer", "time_ms": MONDAY_MS + 48 * DAY_MS}
    assert say(store, True, MONDAY_MS + 49 * DAY_MS, **newer) == NEW  # type: ignore[arg-type]
    assert say(store, True, MONDAY_MS + 50 * DAY_MS) == NEW
    assert say(store, False, MONDAY_MS + 51 * DAY_MS) == CORRECTED
    assert frauds(store, MONDAY_MS + 57 * DAY_MS) == 1


def test_a_correction_of_what_the_store_has_forgotten_takes_nothing_out(
    store: OnlineStore, client: "redis.Redis"
) -> None:
    assert say(store, True, MONDAY_MS) == NEW
    client.delete(key_prefix() + b"m:shop")
    assert say(store, False, SEEN_MS) == CORRECTED
    assert frauds(store, SEEN_MS - 1) == 0
    assert say(store, True, MONDAY_MS, name="t2") == NEW
    assert frauds(store) == 1


def test_labels_and_their_merchants_end_by_themselves_and_the_merchant_last(
    store: OnlineStore, client: "redis.Redis"
) -> None:
    frauds(store)
    client.expire(key_prefix() + b"m:shop", 60)
    assert say(store, True, MONDAY_MS) == NEW
    merchant, label = (client.ttl(key_prefix() + key) for key in (b"m:shop", b"l:t1"))
    assert MERCHANT_TTL_S - 60 < label <= merchant <= MERCHANT_TTL_S
    assert client.strlen(key_prefix() + b"m:shop") == TILES.itemsize + RECENT.itemsize
    assert client.strlen(key_prefix() + b"l:t1") == LABEL_BYTES + len(key_prefix() + b"m:shop")
