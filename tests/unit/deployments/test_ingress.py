"""The HTTP surface, without Ray: FastAPI's routes, the hot route before them, and the document of both."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import httpx
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from fastapi import FastAPI
from ray.exceptions import ActorDiedError
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.decision import Earlier
from deployments.ingress import Ingress
from deployments.responses import EXAMPLE_REQUEST, EXAMPLE_RESPONSE, Prediction
from features.transaction import Transaction
from tests.unit.deployments.graph import FeaturesHandle, Graph, LogHandle, RouterHandle

GOOD = {"timestamp": "2025-02-06T10:00:00", "customer_id": "c1", "amount": 100, "transaction_id": "t1"}
URL = "http://tollgate"
ARROW = "application/vnd.apache.arrow.stream"
NDJSON = "application/x-ndjson"


def application(handle: RouterHandle) -> ASGIApp:
    """Return the application as a client meets it: the hot route, and FastAPI behind it."""
    ingress = Ingress(handle, FeaturesHandle(), LogHandle())
    return ingress.in_front_of(ingress.__serve_build_asgi_app__())


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client(application(RouterHandle())) as requests:
        yield requests


@pytest.fixture
async def documented() -> AsyncIterator[httpx.AsyncClient]:
    """The same application, reached by FastAPI's own route instead of the hot one."""
    app = Ingress(RouterHandle(), FeaturesHandle(), LogHandle()).__serve_build_asgi_app__()
    assert isinstance(app, FastAPI)
    async with client(app) as requests:
        yield requests


def error_of(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message", "details"}
    error: dict[str, Any] = body["error"]
    return error


@pytest.mark.parametrize(
    ("content", "query"),
    [
        (json.dumps(GOOD), ""),
        (json.dumps(GOOD), "?include=features"),
        (json.dumps(GOOD | {"amount": 950}), ""),
        (json.dumps(GOOD | {"amount": -1}), ""),
        (json.dumps(GOOD), "?unknown=1"),
        ("{", ""),
        ("", ""),
        ("x" * (8 * 2**20 + 1), ""),
    ],
)
async def test_the_hot_route_and_the_documented_one_give_the_same_bytes(
    http: httpx.AsyncClient, documented: httpx.AsyncClient, content: str, query: str
) -> None:
    hot = await http.post(f"/predict{query}", content=content)
    slow = await documented.post(f"/predict{query}", content=content)
    assert (slow.status_code, slow.content) == (hot.status_code, hot.content)
    assert slow.headers == hot.headers


async def test_the_hot_route_asks_fastapi_nothing() -> None:
    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError((scope, receive, send))

    async with client(Ingress(RouterHandle(), FeaturesHandle(), LogHandle()).in_front_of(behind)) as http:
        assert (await http.post("/predict", json=GOOD)).status_code == 200


async def test_the_replica_tells_the_autoscaler_how_busy_it_is() -> None:
    stats = await Ingress(RouterHandle(), FeaturesHandle(), LogHandle()).record_autoscaling_stats()
    assert stats.keys() == {"busy"}
    assert stats["busy"] >= 0


async def test_a_prediction_over_http(http: httpx.AsyncClient) -> None:
    response = await http.post("/predict", json=GOOD)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["transaction_id"] == "t1"


async def test_a_batch_over_http(http: httpx.AsyncClient) -> None:
    response = await http.post("/predict/batch?include=features", json=[GOOD, {}])
    assert (response.status_code, response.json()["decided"]) == (200, 1)
    assert "features" in response.json()["results"][0]


async def test_lines_over_http_are_answered_as_lines(http: httpx.AsyncClient) -> None:
    lines = [json.dumps(GOOD), "{", json.dumps(GOOD)]
    response = await http.post(
        "/predict/batch", content="\n".join(lines), headers={"content-type": f"{NDJSON}; charset=utf-8"}
    )
    assert (response.status_code, response.headers["content-type"]) == (200, NDJSON)
    assert ["error" in json.loads(line) for line in response.text.splitlines()] == [False, True, False]


async def test_a_table_over_http_is_answered_as_a_table(http: httpx.AsyncClient) -> None:
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist([GOOD, GOOD | {"amount": -1}])
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue().to_pybytes()
    response = await http.post("/predict/batch", content=body, headers={"content-type": ARROW})
    assert (response.status_code, response.headers["content-type"]) == (200, ARROW)
    rows = pa.ipc.open_stream(response.content).read_all().to_pylist()
    assert [row["error_field"] for row in rows] == [None, "amount"]


async def test_json_is_taken_under_any_other_name(http: httpx.AsyncClient) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonlines", ""):
        response = await http.post(
            "/predict/batch", content=json.dumps([GOOD]), headers={"content-type": media_type}
        )
        assert response.json()["decided"] == 1


async def test_an_arrow_body_has_a_bound_of_its_own() -> None:
    ingress = Ingress(RouterHandle(), FeaturesHandle(), LogHandle())
    app = ingress.__serve_build_asgi_app__()
    await ingress.reconfigure({"max_arrow_bytes": 1024})
    async with client(app) as http:
        response = await http.post("/predict/batch", content=b"x" * 1025, headers={"content-type": ARROW})
    assert error_of(response)["code"] == "body_too_large"


async def test_a_batch_that_is_too_large_is_413(http: httpx.AsyncClient) -> None:
    response = await http.post("/predict/batch", content=b"x" * (8 * 2**20 + 1))
    assert response.status_code == 413
    assert error_of(response)["code"] == "body_too_large"


@pytest.mark.parametrize("route", ["/predict", "/predict/batch"])
async def test_new_bounds_are_in_force_on_both_routes_at_once(route: str) -> None:
    ingress = Ingress(RouterHandle(), FeaturesHandle(), LogHandle())
    app = ingress.in_front_of(ingress.__serve_build_asgi_app__())
    await ingress.reconfigure({"max_body_bytes": 1024})
    async with client(app) as http:
        response = await http.post(route, content=b"x" * 1025)
    assert response.status_code == 413
    assert "1024" in error_of(response)["message"]


@pytest.mark.parametrize("route", ["/predict", "/predict/batch"])
async def test_a_graph_that_is_down_is_503_with_a_pause_to_wait(route: str) -> None:
    handle = RouterHandle(Graph(errors={0: ActorDiedError()}))
    async with client(application(handle)) as http:
        response = await http.post(route, json=GOOD if route == "/predict" else [GOOD])
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert error_of(response)["code"] == "unavailable"


async def test_the_replica_is_alive(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health")).json() == {"status": "alive"}


async def test_the_served_model_is_shown(http: httpx.AsyncClient) -> None:
    assert (await http.get("/model")).json() == {"version": "7"}


async def test_a_model_that_is_not_there_is_503() -> None:
    async with client(application(RouterHandle(served=ActorDiedError()))) as http:
        response = await http.get("/model")
    assert (response.status_code, error_of(response)["code"]) == (503, "unavailable")


@pytest.mark.parametrize("path", ["/", "/nothing", "/predict/batch/more", "/Predict"])
async def test_an_unknown_route_is_404_in_the_one_shape(http: httpx.AsyncClient, path: str) -> None:
    response = await http.get(path)
    assert (response.status_code, error_of(response)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/predict", "POST"),
        ("PUT", "/predict", "POST"),
        ("DELETE", "/predict/batch", "POST"),
        ("POST", "/health", "GET"),
        ("POST", "/model", "GET"),
    ],
)
async def test_a_wrong_method_is_405_in_the_one_shape_and_names_the_right_one(
    http: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    response = await http.request(method, path)
    assert (response.status_code, error_of(response)["code"]) == (405, "method_not_allowed")
    assert response.headers["allow"] == allowed


async def test_the_document_lists_every_route(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert {path: list(methods) for path, methods in paths.items()} == {
        "/predict": ["post"],
        "/predict/batch": ["post"],
        "/labels": ["post"],
        "/decisions/{transaction_id}": ["get"],
        "/health": ["get"],
        "/ready": ["get"],
        "/model": ["get"],
    }
    assert all(method["summary"] for methods in paths.values() for method in methods.values())


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
async def test_the_document_shows_a_request_the_errors_and_the_parameter(
    http: httpx.AsyncClient, path: str
) -> None:
    document = (await http.get("/openapi.json")).json()
    route = document["paths"][path]["post"]
    contents = route["requestBody"]["content"]
    assert set(contents) == ({"application/json"} if path == "/predict" else {"application/json", ARROW, NDJSON})
    content = contents["application/json"]
    example = content["example"] if path == "/predict" else content["example"][0]
    assert example == EXAMPLE_REQUEST
    assert route["responses"].keys() >= {"200", "400", "413", "422", "503"}
    for status in ("400", "413", "422", "503"):
        schema = route["responses"][status]["content"]["application/json"]["schema"]
        assert schema["$ref"].endswith("/ErrorResponse")
    assert [parameter["name"] for parameter in route["parameters"]] == ["include"]
    assert "ErrorResponse" in document["components"]["schemas"]


async def test_the_examples_of_the_document_are_true(http: httpx.AsyncClient) -> None:
    Transaction.model_validate_json(json.dumps(EXAMPLE_REQUEST))
    Prediction.model_validate(EXAMPLE_RESPONSE)
    answer = (await http.post("/predict", json=EXAMPLE_REQUEST)).json()
    assert answer.keys() == EXAMPLE_RESPONSE.keys()


@pytest.mark.parametrize("name", ["t1", "a/b", "é\n", "a?b=c", "%2F", "../x"])
async def test_a_decision_is_asked_for_by_any_id(name: str) -> None:
    log = LogHandle(known={name: {"decision": "BLOCK"}})
    async with client(Ingress(RouterHandle(), FeaturesHandle(), log).__serve_build_asgi_app__()) as http:
        answer = await http.get(f"/decisions/{quote(name, safe='')}", params={"day": "2026-11-22"})
        unknown = await http.get("/decisions/unknown")
    assert (answer.status_code, answer.json()) == (200, {"decision": "BLOCK"})
    assert log.asked == [(name, "2026-11-22"), ("unknown", None)]
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")


async def test_an_id_of_more_than_64_characters_is_no_id(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/decisions/{'x' * 65}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
    assert answer.json()["error"]["details"][0]["field"] == "path.transaction_id"


async def test_a_conflict_is_a_409_that_names_the_fields() -> None:
    graph = Graph(conflicts={"t1": ("amount", "lat")})
    ingress = Ingress(RouterHandle(graph), FeaturesHandle(), LogHandle())
    async with client(ingress.in_front_of(ingress.__serve_build_asgi_app__())) as http:
        answer = await http.post("/predict", json=GOOD | {"transaction_id": "t1"})
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert error["code"] == "transaction_conflict"
    assert [detail["field"] for detail in error["details"]] == ["amount", "lat"]


async def test_a_retry_says_that_it_is_one_and_by_what_it_was_decided() -> None:
    graph = Graph(earlier={"t1": Earlier("3", ("lr",))})
    ingress = Ingress(RouterHandle(graph), FeaturesHandle(), LogHandle())
    async with client(ingress.in_front_of(ingress.__serve_build_asgi_app__())) as http:
        answers = [
            (await http.post("/predict", json=GOOD | {"transaction_id": name})).json() for name in ("t1", "t2")
        ]
    assert [(a["duplicate"], a["model_version"], a["degraded"]) for a in answers] == [
        (True, "3", ["lr"]),
        (False, "7", ["xgb"]),
    ]
