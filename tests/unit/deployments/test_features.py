"""The feature deployment on a real store: what one call holds, and what of it comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import ClassVar

import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from deployments import features as module
from deployments.features import ROWS_OF_ONE, Features, calls_of
from deployments.settings import StoreSettings
from features.formulas import feature_matrix
from features.online import AsyncOnlineStore, OnlineStore
from features.transaction import Int64s, Transaction, TransactionBatch
from tests.unit.databases import emptied

DATABASE = 5


def payments(customers: list[str], devices: list[str | None] | None = None) -> TransactionBatch:
    """Return one payment a minute of these customers."""
    usual = {"amount": 10, "merchant_id": "m"}
    rows = zip(customers, devices or [None] * len(customers), strict=True)
    bodies = [
        usual
        | {
            "transaction_id": f"t{at}",
            "timestamp": 1_770_000_000 + 60 * at,
            "customer_id": name,
            "device_id": device,
        }
        for at, (name, device) in enumerate(rows)
    ]
    return TransactionBatch.of([Transaction.model_validate(body) for body in bodies])


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with emptied(valkey_socket, DATABASE) as client:
        yield client


@given(st.lists(st.sampled_from(("ann", "bob", "cid")), min_size=1, max_size=100), st.booleans())
def test_a_call_holds_no_more_of_one_than_it_may(names: list[str], as_devices: bool) -> None:
    everybody = [f"c{at}" for at in range(len(names))]
    batch = payments(everybody, list(names)) if as_devices else payments(names)
    calls = list(calls_of(batch))
    assert [name for call in calls for name in call.transaction_id] == batch.transaction_id
    for call in calls:
        rows = call.device_id if as_devices else call.customer_id
        assert max(rows.count(name) for name in ("ann", "bob", "cid")) <= ROWS_OF_ONE
    if max(names.count(name) for name in names) <= ROWS_OF_ONE:
        assert len(calls) == 1


def test_payments_without_a_device_are_of_nobody_in_common() -> None:
    assert len(list(calls_of(payments([f"c{at}" for at in range(100)])))) == 1


class Watched(AsyncOnlineStore):
    """A store that writes down its calls, and takes its time after each."""

    calls: ClassVar[list[int]] = []
    pause_s: ClassVar[float] = 0.0

    async def observe(self, batch: TransactionBatch, claimed: bool = True) -> dict[str, Int64s]:
        """Write it down, and do it."""
        self.calls.append(len(batch))
        columns = await super().observe(batch, claimed)
        await asyncio.sleep(self.pause_s)
        return columns


@pytest.fixture
async def features(
    client: redis.Redis, valkey_socket: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Features]:
    client.flushdb()
    store = Watched(f"unix://{valkey_socket}?db={DATABASE}")
    monkeypatch.setattr(Watched, "calls", [])
    monkeypatch.setattr(module, "AsyncOnlineStore", lambda _: store)
    features = Features(f"unix://{valkey_socket}?db={DATABASE}")
    await features.reconfigure(StoreSettings(timeout_ms=60_000).model_dump())
    yield features
    await store.close()


async def test_many_rows_of_one_customer_get_the_features_that_one_call_would_give(
    client: redis.Redis, features: Features
) -> None:
    batch = payments(["ann"] * 100)
    expected = feature_matrix(OnlineStore(client).observe(batch))
    client.flushdb()
    reply = await features.observe(batch, left_s=60)
    assert Watched.calls == [32, 32, 32, 4]
    assert reply.has_history
    np.testing.assert_array_equal(reply.matrix, expected)


async def test_when_the_time_ends_between_two_calls_the_whole_batch_is_without_history(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watched, "pause_s", 0.3)
    reply = await features.observe(payments(["ann"] * 100), left_s=0.5)
    assert not reply.has_history
    assert len(reply.matrix) == 100
