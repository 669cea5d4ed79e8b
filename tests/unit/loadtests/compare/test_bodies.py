"""The bodies that wrk posts."""

import json
import random
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
import redis

from features.online import OnlineStore
from features.transaction import Transaction
from loadtests.compare.bodies import of_payments, of_vector, takes_vectors, write, write_vectors
from loadtests.compare.payments import ID_MARK, bulk, history, payment, rank, vectors
from loadtests.compare.store import reset
from loadtests.compare.systems import SYSTEMS, System

NOW_S = 1_790_000_000.0


def test_bulk_bodies_of_both_kinds_hold_the_same_payments() -> None:
    payments = bulk(50, 1000, NOW_S, random.Random(1))
    rows = json.loads(of_payments("bulk_json", payments))
    table = pa.ipc.open_stream(of_payments("bulk_arrow", payments)).read_all().to_pylist()
    assert [row | {"timestamp": row["timestamp"].timestamp()} for row in table] == rows
    assert len({row["transaction_id"] for row in rows}) == 50


def test_what_makes_ids_new_can_be_replaced_in_an_arrow_body() -> None:
    body = of_payments("bulk_arrow", bulk(500, 1000, NOW_S, random.Random(1)))
    assert body.count(ID_MARK.encode()) == 500
    renewed = pa.ipc.open_stream(body.replace(ID_MARK.encode(), b"0123456789ab")).read_all()
    ids = renewed["transaction_id"].to_pylist()
    assert ids[499] == "0123456789ab-0499"
    assert renewed.drop_columns("transaction_id") == pa.ipc.open_stream(body).read_all().drop_columns(
        "transaction_id"
    )


def test_every_payment_keeps_the_contract() -> None:
    chance = random.Random(3)
    for customer in range(300):
        Transaction.model_validate(payment(customer, "t", NOW_S, chance))


def test_ranks_are_customers_and_the_first_are_frequent() -> None:
    chance = random.Random(4)
    ranks = [rank(1000, chance) for _ in range(5000)]
    assert min(ranks) >= 0
    assert max(ranks) < 1000
    assert sum(one < 100 for one in ranks) > 3 * sum(one >= 900 for one in ranks)


@pytest.mark.parametrize("system", [s for s in SYSTEMS if takes_vectors(s.body)], ids=lambda s: s.name)
def test_a_vector_goes_over_the_wire_without_loss(system: System) -> None:
    vector = np.random.default_rng(0).normal(size=34).tolist()
    body = of_vector(system.body, vector).decode()
    assert json.dumps(vector, separators=(",", ":")) in body


def test_payments_are_no_vector() -> None:
    with pytest.raises(ValueError, match="bulk_json"):
        of_vector("bulk_json", [1.0])


def test_each_body_comes_after_its_length(tmp_path: Path) -> None:
    write(tmp_path / "bodies", [b"first\nbody", b"id " + ID_MARK.encode()])
    assert (tmp_path / "bodies").read_bytes() == b"10\nfirst\nbody15\nid " + ID_MARK.encode()


def test_vectors_come_from_the_store(valkey_socket: str, tmp_path: Path) -> None:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        reset(client, customers=20, rounds=3)
        chance = random.Random(5)
        matrix = vectors(OnlineStore(client), [payment(7, "a", NOW_S, chance)])
        # Other tests share the server; these customers are the load test's own.
        again = vectors(OnlineStore(client), [payment(7, "b", NOW_S + 60, chance)])
    assert matrix.shape == again.shape
    assert not (matrix == again).all()
    write_vectors("mlflow", tmp_path / "vectors", matrix)
    assert (tmp_path / "vectors").read_bytes().startswith(b"%d\n" % len(of_vector("mlflow", matrix[0].tolist())))


def test_the_history_gives_each_customer_as_many_payments_in_order_of_time() -> None:
    batches = history(1500, 3, NOW_S)
    assert sum(len(batch) for batch in batches) == 4500
    customers = [customer for batch in batches for customer in batch.customer_id]
    assert all(customers.count(customer) == 3 for customer in ("W000000", "W001499"))
    times = np.concatenate([batch.event_time_ms for batch in batches[::2]])
    assert (np.diff(times) > 0).all()
    assert times.max() < NOW_S * 1000
    assert all((batch.amount_minor > 0).all() for batch in batches)


def test_a_reset_leaves_what_is_not_the_load_tests(valkey_socket: str) -> None:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.set("plain:C1", "a real one")
        client.set("plain:W000001", "of an earlier run")
        reset(client, customers=5, rounds=1)
        assert client.get("plain:C1") == b"a real one"
        assert client.get("plain:W000001") is None
        client.delete("plain:C1")
