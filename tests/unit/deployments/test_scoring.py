"""From request bytes to answer bytes: what is accepted, what is refused and how, alone and in a batch."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.responses import BatchResponse, Prediction
from features.definitions import FEATURE_NAMES
from tests.unit.deployments.bodies import (
    FEATURES,
    GOOD,
    checked_error,
    encode,
    error_of,
    fields_of,
    good,
    scoring,
)
from tests.unit.deployments.graph import Graph
from tests.unit.deployments.service import NOW_S

PAYLOADS: list[dict[str, Any]] = json.loads(Path(__file__).parents[2].joinpath("payloads.json").read_text())


def literal(field: str, text: str) -> bytes:
    """Return a good body but for one field, which holds the given JSON text."""
    return encode(good(**{field: "HERE"})).replace(b'"HERE"', text.encode())


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: payload["name"])
async def test_the_bodies_of_clients_that_exist_are_accepted_unchanged(payload: dict[str, Any]) -> None:
    body = payload["body"]
    answer = await scoring(Graph()).predict(encode(body), b"")
    assert answer.status == 200, answer.body
    assert json.loads(answer.body)["transaction_id_assigned"] == ("transaction_id" not in body)


async def test_the_bodies_of_clients_that_exist_are_accepted_as_one_batch() -> None:
    answer = await scoring(Graph()).predict_batch(encode([payload["body"] for payload in PAYLOADS]), b"")
    assert (answer.status, json.loads(answer.body)["failed"]) == (200, 0)


async def test_an_answer_has_exactly_the_fields_of_its_schema() -> None:
    answer = await scoring(Graph()).predict(encode(good(transaction_id="t1", amount=950)), b"")
    body = json.loads(answer.body)
    assert body.keys() == Prediction.model_fields.keys() - {"features"}
    assert body == {
        "transaction_id": "t1",
        "transaction_id_assigned": False,
        "prediction": "FRAUD",
        "decision": "BLOCK",
        "fraud_probability": 0.95,
        "model_scores": {"lr": 0.95, "xgb": None},
        "rules": ["large"],
        "explanation": [{"source": "rule", "code": "large", "text": "it is large"}],
        "model_version": "7",
        "degraded": ["xgb"],
        "duplicate": False,
    }


async def test_the_answer_to_a_batch_has_its_schema_and_its_items_those_of_a_prediction() -> None:
    answer = await scoring(Graph()).predict_batch(encode([good(), good(amount=0)]), b"")
    body = json.loads(answer.body)
    BatchResponse.model_validate(body)
    first, second = body["results"]
    assert first.keys() == (Prediction.model_fields.keys() | {"index"}) - {"features"}
    assert second.keys() == {"index", "error"}


BAD_FIELDS = {
    "unknown field": (encode(good(amonut=1)), "amonut"),
    "NaN": (literal("amount", "NaN"), "amount"),
    "Infinity": (literal("amount", "Infinity"), "amount"),
    "-Infinity": (literal("amount", "-Infinity"), "amount"),
    "NaN place": (literal("lat", "NaN"), "lat"),
    "negative amount": (encode(good(amount=-5)), "amount"),
    "no amount": (encode(good(amount=0)), "amount"),
    "minus zero": (literal("amount", "-0.0"), "amount"),
    "less than a cent": (encode(good(amount=0.001)), "amount"),
    "half a cent": (encode(good(amount=0.005)), "amount"),
    "huge amount": (literal("amount", "1e10"), "amount"),
    "amount past floats": (literal("amount", "1e400"), "amount"),
    "amount of 400 digits": (literal("amount", "1" + "0" * 400), "amount"),
    "amount in words": (encode(good(amount="100")), "amount"),
    "amount true": (encode(good(amount=True)), "amount"),
    "amount null": (encode(good(amount=None)), "amount"),
    "amount list": (encode(good(amount=[1])), "amount"),
    "year 9999": (encode(good(timestamp="9999-12-31T23:59:59Z")), "timestamp"),
    "year 9999 and an offset": (encode(good(timestamp="9999-12-31T23:59:59-23:59")), "timestamp"),
    "year 1": (encode(good(timestamp="0001-01-01T00:00:00+23:59")), "timestamp"),
    "year 1900": (encode(good(timestamp="1900-01-01T00:00:00")), "timestamp"),
    "the day after tomorrow": (encode(good(timestamp=NOW_S + 2 * 86_400)), "timestamp"),
    "epoch milliseconds": (encode(good(timestamp=1_770_000_000_000)), "timestamp"),
    "epoch NaN": (literal("timestamp", "NaN"), "timestamp"),
    "epoch past floats": (literal("timestamp", "1e400"), "timestamp"),
    "epoch past integers": (literal("timestamp", "1" + "0" * 30), "timestamp"),
    "timestamp true": (encode(good(timestamp=True)), "timestamp"),
    "timestamp null": (encode(good(timestamp=None)), "timestamp"),
    "timestamp empty": (encode(good(timestamp="")), "timestamp"),
    "timestamp in words": (encode(good(timestamp="yesterday")), "timestamp"),
    "31 February": (encode(good(timestamp="2026-02-31T10:00:00")), "timestamp"),
    "customer empty": (encode(good(customer_id="")), "customer_id"),
    "customer null": (encode(good(customer_id=None)), "customer_id"),
    "customer a number": (encode(good(customer_id=7)), "customer_id"),
    "customer of 65 letters": (encode(good(customer_id="x" * 65)), "customer_id"),
    "customer of a megabyte": (encode(good(customer_id="x" * 2**20)), "customer_id"),
    "transaction id empty": (encode(good(transaction_id="")), "transaction_id"),
    "transaction id a number": (encode(good(transaction_id=5)), "transaction_id"),
    "merchant empty": (encode(good(merchant_id="")), "merchant_id"),
    "currency in words": (encode(good(currency="euro")), "currency"),
    "latitude": (encode(good(lat=90.1, long=0)), "lat"),
    "longitude": (encode(good(lat=0, long=-180.1)), "long"),
    "half a place": (encode(good(lat=1.0)), "long"),
    "the other half": (encode(good(long=1.0)), "lat"),
    "nothing at all": (b"{}", "timestamp"),
    "array": (b"[]", "body"),
    "null": (b"null", "body"),
    "number": (b"3", "body"),
    "string": (b'"x"', "body"),
    "a thousand unknown fields": (encode(good(**{f"x{n}": n for n in range(1000)})), "body"),
    "a megabyte of unknown fields": (encode({f"x{n}": n for n in range(100_000)}), "body"),
}


@pytest.mark.parametrize(("body", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
async def test_what_breaks_the_contract_is_422_and_names_the_field(body: bytes, field: str) -> None:
    graph = Graph()
    error = error_of(await scoring(graph).predict(body, b""), 422)
    assert error["code"] == "invalid_transaction"
    assert field in fields_of(error)
    assert field in error["message"]
    assert len(error["message"]) < 1000
    assert graph.seen == []


@pytest.mark.parametrize(("body", "field"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
async def test_an_item_that_breaks_the_contract_harms_no_neighbour(body: bytes, field: str) -> None:
    graph = Graph()
    before, after = encode(good(transaction_id="before")), encode(good(transaction_id="after"))
    answer = await scoring(graph).predict_batch(b"[%b,%b,%b]" % (before, body, after), b"")
    assert answer.status == 200
    whole = json.loads(answer.body)
    assert (whole["decided"], whole["failed"]) == (2, 1)
    assert [row["index"] for row in whole["results"]] == [0, 1, 2]
    assert [row.get("transaction_id") for row in whole["results"]] == ["before", None, "after"]
    error = checked_error(whole["results"][1]["error"])
    assert error["code"] == "invalid_transaction"
    assert field in fields_of(error)
    assert graph.seen == [["before", "after"]]


async def test_a_megabyte_of_unknown_fields_is_not_even_validated() -> None:
    error = error_of(await scoring(Graph()).predict(encode({f"x{n}": n for n in range(100_000)}), b""), 422)
    assert error["message"] == "body: has 100000 fields; a transaction has far fewer"


BROKEN = {
    "empty": b"",
    "blank": b" ",
    "cut": b'{"amount":',
    "comma": b'{"amount": 1,}',
    "two": b"{} {}",
    "utf-8": b'{"customer_id": "\xff"}',
    "utf-16": '{"amount": 1}'.encode("utf-16"),
    "surrogate": b'{"customer_id": "\\ud800"}',
    "deep arrays": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "5000 digits": b'{"amount": 1' + b"0" * 5000 + b"}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "form": b"amount=1&customer_id=c",
}


@pytest.mark.parametrize("route", ["predict", "predict_batch"])
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_json_is_400(body: bytes, route: str) -> None:
    error = error_of(await getattr(scoring(Graph()), route)(body, b""), 400)
    assert (error["code"], fields_of(error)) == ("invalid_json", ["body"])
    assert "JSON" in error["message"]


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b"3", b'"x"', encode(GOOD)])
async def test_a_batch_is_an_array_of_at_least_one(body: bytes) -> None:
    error = error_of(await scoring(Graph()).predict_batch(body, b""), 422)
    assert fields_of(error) == ["body"]
    assert "array of at least one" in error["message"]


@pytest.mark.parametrize("items", ["1," * 100_000 + "1", ",".join(["{}"] * 4)])
async def test_too_many_items_are_refused_as_a_whole_and_at_once(items: str) -> None:
    graph = Graph()
    error = error_of(await scoring(graph, max_items=3).predict_batch(f"[{items}]".encode(), b""), 422)
    assert fields_of(error) == ["body"]
    assert "at most 3" in error["message"]


async def test_a_large_batch_is_answered_like_a_small_one() -> None:
    items = [good(transaction_id=f"t{n}", amount=n + 1) for n in range(2000)]
    large = json.loads((await scoring(Graph()).predict_batch(encode(items * 2), b"")).body)
    small = json.loads((await scoring(Graph()).predict_batch(encode(items), b"")).body)
    assert large["decided"] == 4000
    assert large["results"][:2000] == small["results"]


async def test_as_many_items_as_the_bound_are_taken() -> None:
    answer = await scoring(Graph(), max_items=3).predict_batch(encode([GOOD] * 3), b"")
    assert json.loads(answer.body)["decided"] == 3


@pytest.mark.parametrize("item", ["1", "null", '"x"', "[]", "true", "NaN"])
async def test_items_that_are_no_objects_are_refused_one_by_one(item: str) -> None:
    answer = await scoring(Graph()).predict_batch(f"[{item},{item}]".encode(), b"")
    body = json.loads(answer.body)
    assert (answer.status, body["decided"], body["failed"]) == (200, 0, 2)
    assert [row["error"]["message"] for row in body["results"]] == ["body: must be an object"] * 2


async def test_while_a_faulty_batch_is_checked_other_requests_go_on() -> None:
    service = scoring(Graph())
    faulty = asyncio.create_task(service.predict_batch(encode([{}] * 5000), b""))
    await asyncio.sleep(0)
    assert (await service.predict(encode(GOOD), b"")).status == 200
    assert not faulty.done()
    await faulty


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
some_transactions = st.dictionaries(
    st.sampled_from([*GOOD, "transaction_id", "lat", "long", "currency", "device_id", "unknown"]), json_values
).map(lambda changes: GOOD | changes)


@given(some_transactions | json_values)
@settings(max_examples=60)
async def test_an_item_means_the_same_alone_and_in_a_batch(value: Any) -> None:
    body = encode(value)
    alone = await scoring(Graph()).predict(body, b"")
    whole = await scoring(Graph()).predict_batch(b"[%b]" % body, b"")
    if alone.status == 400:
        assert whole.status == 400
        return
    assert alone.status in (200, 422)
    [row] = json.loads(whole.body)["results"]
    if alone.status == 200:
        expected = json.loads(alone.body) | {"index": 0}
        if expected["transaction_id_assigned"]:
            expected["transaction_id"] = row["transaction_id"]
        assert row == expected
    else:
        assert fields_of(row["error"]) == fields_of(json.loads(alone.body)["error"])


async def test_ids_are_assigned_where_they_are_absent_and_the_answer_says_so() -> None:
    graph = Graph()
    answer = await scoring(graph).predict_batch(encode([good(), good(transaction_id="own"), good()]), b"")
    rows = json.loads(answer.body)["results"]
    assert [row["transaction_id_assigned"] for row in rows] == [True, False, True]
    assert rows[1]["transaction_id"] == "own"
    assert [row["transaction_id"] for row in rows] == graph.seen[0]
    assert len({row["transaction_id"] for row in rows}) == 3


async def test_a_null_id_is_an_absent_one() -> None:
    answer = await scoring(Graph()).predict(encode(good(transaction_id=None)), b"")
    assert json.loads(answer.body)["transaction_id_assigned"] is True


async def test_features_are_in_the_answer_only_when_they_were_asked_for() -> None:
    graph = Graph()
    service = scoring(graph)
    with_features, without = await asyncio.gather(
        service.predict(encode(good(amount=250)), FEATURES), service.predict(encode(good(amount=500)), b"")
    )
    await service.predict(encode(GOOD), b"")
    assert graph.asked_for_features == [True, False]
    features = json.loads(with_features.body)["features"]
    assert list(features) == list(FEATURE_NAMES)
    assert set(features.values()) == {0.25}
    assert "features" not in json.loads(without.body)
    batch = json.loads((await service.predict_batch(encode([GOOD]), FEATURES)).body)
    assert list(batch["results"][0]["features"]) == list(FEATURE_NAMES)


@pytest.mark.parametrize("route", ["predict", "predict_batch"])
@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"include=all", "query.include"),
        (b"include=", "query.include"),
        (b"include", "query.include"),
        (b"include=Features", "query.include"),
        (b"include=features&include=x", "query.include"),
        (b"explain=1", "query.explain"),
        (b"include=features&explain=1", "query.explain"),
        (b"%ff=1", "query.\ufffd"),
        (b"\xff=1", "query.\xff"),
        (b"x" * 1000, "query." + "x" * 64),
    ],
)
async def test_an_unknown_query_parameter_is_422_and_named(query: bytes, field: str, route: str) -> None:
    graph = Graph()
    error = error_of(await getattr(scoring(graph), route)(encode(GOOD), query), 422)
    assert fields_of(error) == [field]
    assert graph.seen == []
