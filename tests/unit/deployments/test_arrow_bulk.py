"""The Arrow road: the same decisions as in JSON, as columns; and what is no table is refused."""

import json
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError

from deployments.arrow_schema import FEATURES_SCHEMA, SCHEMA
from deployments.decision import Earlier
from deployments.hot_route import Answer
from deployments.media_types import ARROW
from deployments.settings import BatchSettings
from features.definitions import FEATURE_NAMES
from tests.unit.deployments.graph import Graph
from tests.unit.deployments.service import Service

GOOD = {"timestamp": 1_770_000_000, "customer_id": "c1", "amount": 100.0}
TYPES = {"timestamp": pa.int64(), "amount": pa.float64(), "lat": pa.float64(), "long": pa.float64()}


def stream(rows: list[dict[str, Any]], **options: Any) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: pa.array([row.get(name) for row in rows], TYPES.get(name, pa.string())) for name in names}
    return of_table(pa.table(columns), **options)


def of_table(table: pa.Table, chunk: int = 10**6, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, chunk)
    return bytes(sink.getvalue().to_pybytes())


def table_of(answer: Answer) -> pa.Table:
    assert (answer.status, answer.media_type.decode()) == (200, ARROW), answer.body[:300]
    table = pa.ipc.open_stream(answer.body).read_all()
    table.validate(full=True)
    return table


def error_of(answer: Answer, status: int) -> dict[str, Any]:
    assert (answer.status, answer.media_type) == (status, b"application/json"), answer.body[:300]
    error: dict[str, Any] = json.loads(answer.body)["error"]
    assert error.keys() == {"code", "message", "details"}
    return error


def as_json_row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the answer in the shape of the JSON road, without what only JSON says of an error."""
    if row["error_code"] is not None:
        assert all(row[name] is None for name in row if name != "index" and not name.startswith("error_"))
        return {"index": row["index"], "error": (row["error_code"], row["error_field"], row["error_message"])}
    assert row["error_field"] is row["error_message"] is None
    features = {name: row[name] for name in FEATURE_NAMES if name in row}
    kept = ("index", "transaction_id", "transaction_id_assigned", "prediction", "decision", "fraud_probability")
    whole = {name: row[name] for name in (*kept, "rules", "explanation", "model_version", "degraded", "duplicate")}
    return (
        whole
        | {"model_scores": {"lr": row["lr"], "xgb": row["xgb"]}}
        | ({"features": features} if features else {})
    )


def without_details(row: dict[str, Any]) -> dict[str, Any]:
    if "error" not in row:
        return row
    details = row["error"]["details"]
    field = details[0]["field"] if details else None
    return {"index": row["index"], "error": (row["error"]["code"], field, row["error"]["message"])}


some_rows = st.lists(
    st.fixed_dictionaries(
        {
            **{name: st.just(value) for name, value in GOOD.items()},
            "amount": st.sampled_from([10.0, 600.0, 950.0, -1]),
        },
        optional={"currency": st.sampled_from(["EUR", "euro"]), "lat": st.just(1.5), "long": st.just(2.5)},
    ),
    min_size=1,
    max_size=12,
)


seen_before = st.fixed_dictionaries(
    {
        "earlier": st.dictionaries(st.sampled_from(["t0", "t3", "t7"]), st.just(Earlier("6", ("lr",)))),
        "conflicts": st.dictionaries(st.sampled_from(["t1", "t3", "t8"]), st.just(("amount", "lat"))),
    }
)


@given(some_rows, st.integers(1, 5), st.booleans(), st.sampled_from([{}, {1: ActorDiedError()}]), seen_before)
@settings(max_examples=60)
async def test_a_table_is_answered_as_the_same_rows_in_json_are(
    rows: list[dict[str, Any]],
    size: int,
    include_features: bool,
    errors: dict[int, Exception],
    known: dict[str, Any],
) -> None:
    rows = [{**row, "transaction_id": f"t{at}"} for at, row in enumerate(rows)]
    query = b"include=features" if include_features else b""
    bounds = {"batch": BatchSettings(max_size=size)}
    json_road, arrow_road = (Service(Graph(errors=dict(errors), **known), **bounds) for _ in range(2))
    whole = await json_road.predict_batch(json.dumps(rows).encode(), query)
    answer = table_of(await arrow_road.predict_arrow(stream(rows), query))
    assert answer.schema == (FEATURES_SCHEMA if include_features else SCHEMA)
    expected = [without_details(row) for row in json.loads(whole.body)["results"]]
    assert [as_json_row(row) for row in answer.to_pylist()] == expected


async def test_a_table_in_many_record_batches_with_dictionaries_is_one_table() -> None:
    customers = pa.chunked_array([pa.array(["a", "b"]).dictionary_encode(), pa.array(["c"]).dictionary_encode()])
    table = pa.table({"timestamp": [1_770_000_000] * 3, "amount": [1.0, 2.0, 3.0], "customer_id": customers})
    graph = Graph()
    answer = table_of(await Service(graph).predict_arrow(of_table(table, chunk=1), b""))
    assert answer["fraud_probability"].to_pylist() == [0.001, 0.002, 0.003]
    assert answer["transaction_id_assigned"].to_pylist() == [True] * 3
    assert answer["transaction_id"].to_pylist() == graph.seen[0]


def mangled(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]


WHOLE = stream([GOOD | {"currency": "EUR"}] * 3)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", json.dumps([GOOD]).encode(), WHOLE[:100], WHOLE[: len(WHOLE) // 2], b"\x00" * 64, b"\xff" * 64],
)
async def test_what_is_no_arrow_stream_is_400(body: bytes) -> None:
    error = error_of(await Service(Graph()).predict_arrow(body, b""), 400)
    assert error["code"] == "invalid_arrow"
    assert error["message"].startswith("body: must be an Arrow IPC stream")
    assert error["details"][0]["field"] == "body"


@given(st.integers(0, len(WHOLE) - 1))
@settings(max_examples=150)
async def test_a_stream_with_one_broken_byte_never_breaks_the_service(at: int) -> None:
    answer = await Service(Graph()).predict_arrow(mangled(WHOLE, at), b"")
    assert answer.status in (200, 400, 422), answer.body


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
async def test_compressed_buffers_are_refused_before_they_are_unpacked(compression: str) -> None:
    error = error_of(await Service(Graph()).predict_arrow(stream([GOOD], compression=compression), b""), 400)
    assert "without compression" in error["message"]


async def test_a_column_of_nulls_that_takes_no_bytes_is_counted_before_it_is_read() -> None:
    nulls = pa.nulls(10**7)
    table = pa.table({"timestamp": nulls, "customer_id": nulls, "amount": nulls})
    error = error_of(await Service(Graph()).predict_arrow(of_table(table, chunk=10**7), b""), 422)
    assert "at most 100000 transactions, not 10000000" in error["message"]


@pytest.mark.parametrize(("rows", "message"), [(0, "of at least one row"), (4, "at most 3 transactions, not 4")])
async def test_too_few_and_too_many_rows_are_refused_as_a_whole(rows: int, message: str) -> None:
    body = of_table(pa.table(pa.ipc.open_stream(stream([GOOD] * 5)).read_all()).slice(0, rows))
    error = error_of(await Service(Graph(), max_arrow_rows=3).predict_arrow(body, b""), 422)
    assert message in error["message"]


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({**GOOD, "colour": "red"}, "colour"),
        ({"timestamp": 1, "amount": 1.0}, "customer_id"),
        ({**GOOD, "amount": "1"}, "amount"),
    ],
)
async def test_a_fault_of_the_table_is_422_and_names_the_column(table: dict[str, Any], field: str) -> None:
    body = of_table(pa.table({name: [value] for name, value in table.items()}))
    error = error_of(await Service(Graph()).predict_arrow(body, b""), 422)
    assert error["details"][0]["field"] == field


async def test_when_nothing_was_decided_the_error_answers_the_whole() -> None:
    answer = await Service(Graph(errors={0: ActorDiedError()})).predict_arrow(stream([GOOD]), b"")
    assert error_of(answer, 503)["code"] == "unavailable"
    assert error_of(await Service(Graph(errors={0: KeyError()})).predict_arrow(WHOLE, b""), 500)
    assert error_of(await Service(Graph()).predict_arrow(WHOLE, b"include=all"), 422)


async def test_a_table_of_nothing_but_bad_rows_is_answered_row_by_row() -> None:
    graph = Graph()
    answer = table_of(await Service(graph).predict_arrow(stream([{**GOOD, "amount": -1.0}] * 3), b""))
    assert answer["error_field"].to_pylist() == ["amount"] * 3
    assert graph.seen == []
