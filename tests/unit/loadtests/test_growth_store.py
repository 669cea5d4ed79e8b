"""The store as it grows, on a real Valkey."""

from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from features.layout import EVENT
from loadtests import growth_store
from loadtests.growth_measures import series
from loadtests.growth_models import feature_growth
from loadtests.growth_store import Population, entity_growth, entity_sizes, history_growth, own_valkey


@pytest.fixture
def client(valkey_socket: str) -> Iterator["redis.Redis"]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        yield client


def test_every_customer_of_a_population_has_the_events_that_were_asked_for(client: "redis.Redis") -> None:
    people = Population(client, customers=300, events=7)
    columns = people.store.observe(people.batch(300))
    assert set(columns["customer_count_30d"].tolist()) == {7}
    assert people.bytes_a_key > 7 * EVENT.itemsize


def test_measuring_does_not_lengthen_what_is_measured(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth_store, "CALLS", 2)
    people = Population(client, customers=4 * (2 * growth_store.ROUNDS + 1), events=5)
    call = people.observe(4)
    for _ in range(2 * growth_store.ROUNDS + 1):
        columns = call()
        assert isinstance(columns, dict)
        assert set(columns["customer_count_30d"].tolist()) == {5}


def test_what_one_population_left_is_not_in_the_next(client: "redis.Redis") -> None:
    Population(client, customers=500, events=3)
    first = growth_store.used_bytes(client)
    Population(client, customers=5, events=3)
    assert growth_store.used_bytes(client) < first


def test_memory_grows_with_the_events_and_with_the_entities(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growth_store, "CALLS", 1)
    monkeypatch.setattr(growth_store, "MICRO_BATCH", 4)
    done: list[int] = []
    history = series(list(history_growth(client, lambda: done.append(1))), "history")
    small, middle, large = history["memory a customer or device"]
    assert small.median < middle.median < large.median
    assert large.median == pytest.approx(1000 * EVENT.itemsize, rel=0.3)
    entities = series(list(entity_growth(client, 2000, lambda: done.append(1))), "entities")
    assert [one.size for one in entities["memory of the store"]] == [1000, 2000]
    assert len(done) == 3 + 2


def test_the_largest_store_is_the_one_that_was_asked_for() -> None:
    assert entity_sizes(100_000) == (1_000, 10_000, 100_000)
    assert entity_sizes(5_000) == (1_000, 5_000)
    assert entity_sizes(500) == (500,)


def test_its_own_server_is_gone_afterwards() -> None:
    with own_valkey() as client:
        port = client.get_connection_kwargs()["port"]
        assert client.config_get("appendonly") == {"appendonly": "yes"}
    with redis.Redis(port=port, retry=Retry(NoBackoff(), 0)) as gone, pytest.raises(redis.ConnectionError):
        gone.ping()


def test_models_of_every_width_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"COLUMNS": (3, 6), "ROWS": 200, "TREES": 3, "CALLS": 1}.items():
        monkeypatch.setattr(f"loadtests.growth_models.{name}", value)
    found = series(list(feature_growth(lambda: None)), "features")
    assert {tuple(one.size for one in values) for values in found.values()} == {(3, 6)}
    assert "boosted trees, batch of 64" in found
