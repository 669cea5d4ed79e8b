"""What the online store counts of a transaction whose id was given before."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from features.claims import CLAIM_PREFIX
from features.layout import CLAIM_TTL_S
from features.online import OnlineStore
from features.transaction import Transaction, TransactionBatch
from tests.unit.databases import emptied


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with emptied(valkey_socket, 3) as client:
        yield client


def batch(*bodies: dict[str, Any]) -> TransactionBatch:
    usual = {"timestamp": 1_770_000_000, "amount": 10, "customer_id": "ann"}
    return TransactionBatch.of([Transaction.model_validate(usual | body) for body in bodies])


def seen(store: OnlineStore, customer: str, transaction_id: str) -> int:
    """Return how many payments of a customer came before one that is asked about now."""
    asked = batch({"transaction_id": transaction_id, "customer_id": customer, "timestamp": 1_770_000_060})
    return int(store.observe(asked)["customer_count_1h"][0])


def test_an_id_with_another_customer_counts_for_nobody(client: redis.Redis) -> None:
    store = OnlineStore(client)
    store.observe(batch({"transaction_id": "t1"}))
    store.observe(batch({"transaction_id": "t1", "customer_id": "bob", "merchant_id": "m", "device_id": "d"}))
    assert seen(store, "bob", "then") == 0
    assert seen(store, "ann", "then too") == 1


def test_of_two_bodies_of_one_id_in_one_batch_the_first_counts(client: redis.Redis) -> None:
    store = OnlineStore(client)
    store.observe(batch({"transaction_id": "t1"}, {"transaction_id": "t1", "customer_id": "bob"}))
    assert (seen(store, "ann", "then"), seen(store, "bob", "then too")) == (1, 0)


def test_a_claim_that_holds_a_decision_stays_and_is_no_conflict(client: redis.Redis) -> None:
    store = OnlineStore(client)
    store.observe(batch({"transaction_id": "t1"}))
    key = CLAIM_PREFIX + b"t1"
    claim = client.get(key)
    assert isinstance(claim, bytes)
    decided = claim + b"\n1-0\n[]"
    client.set(key, decided)
    client.delete(*client.keys("*:c:ann"))  # The store forgot the customer, so the claim alone can tell.
    store.observe(batch({"transaction_id": "t1"}))
    assert client.get(key) == decided
    assert seen(store, "ann", "then") == 1


def test_a_claim_lives_for_a_day_and_loaded_history_has_none(client: redis.Redis) -> None:
    store = OnlineStore(client)
    store.observe(batch({"transaction_id": "t1"}))
    store.append(batch({"transaction_id": "t2"}))
    assert client.ttl(CLAIM_PREFIX + b"t1") == CLAIM_TTL_S == 86_400
    assert not client.exists(CLAIM_PREFIX + b"t2")
    assert seen(store, "ann", "then") == 2


def test_a_cleared_store_has_no_claims(client: redis.Redis) -> None:
    store = OnlineStore(client)
    store.observe(batch({"transaction_id": "t1"}))
    store.clear()
    assert client.dbsize() == 0
