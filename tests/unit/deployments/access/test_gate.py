"""The gate over HTTP, in front of the application and of the hot route, with keys and without."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from deployments.access.callers import Callers
from deployments.access.key_file import write_keys
from deployments.access.keys import Rate, Scope, new_key
from deployments.access.live_keys import LiveKeys
from deployments.access.routes import DOCS, route_of
from deployments.ingress import Ingress
from deployments.status import Status
from tests.unit.deployments.graph import FeaturesHandle, LogHandle, RouterHandle

GOOD = {"timestamp": "2025-02-06T10:00:00", "customer_id": "c1", "amount": 100}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Holder:
    """Keys of each scope, in a file, and an ingress that knows them."""

    def __init__(self, folder: Path) -> None:
        self.now_s = NOW.timestamp()
        self.texts: dict[str, str] = {}
        keys = []
        for name, options in {
            "score": {"scopes": [Scope.SCORE]},
            "read": {"scopes": [Scope.READ]},
            "admin": {"scopes": [Scope.ADMIN]},
            "old": {"scopes": [Scope.SCORE], "not_after": NOW + timedelta(days=1)},
            "slow": {"scopes": [Scope.SCORE, Scope.ADMIN], "rate": Rate(per_s=1, burst=3)},
        }.items():
            key, self.texts[name] = new_key(**options)  # type: ignore[arg-type]
            keys.append(key)
        write_keys(folder / "keys.yaml", keys)
        self.monotonic_s = 0.0
        callers = Callers(LiveKeys(folder / "keys.yaml"), lambda: self.now_s, lambda: self.monotonic_s)
        self.ingress = Ingress(RouterHandle(), FeaturesHandle(), LogHandle(), callers)

    def headers(self, name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.texts[name]}"}


@pytest.fixture
def holder(tmp_path: Path) -> Holder:
    return Holder(tmp_path)


@asynccontextmanager
async def reached(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tollgate") as http:
        yield http


@pytest.fixture(params=["front", "inner"])
async def http(holder: Holder, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """The service behind both gates, and behind the inner one alone."""
    app: ASGIApp = holder.ingress.__serve_build_asgi_app__()
    if request.param == "front":
        app = holder.ingress.in_front_of(app)
    async with reached(app) as client:
        yield client


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"code", "message", "details"}
    return error


async def test_without_a_key_nobody_is_let_in(http: httpx.AsyncClient) -> None:
    for method, path in (("POST", "/predict"), ("POST", "/predict/batch"), ("GET", "/model"), ("GET", "/nothing")):
        answer = await http.request(method, path, json=GOOD)
        assert answer.status_code == 401
        assert error_of(answer)["code"] == "unauthorized"
        assert answer.headers["www-authenticate"] == 'Bearer realm="tollgate"'


@pytest.mark.parametrize("change", ["x", "", "tg_aaaaaaaa_secret", "ключ"])
async def test_a_wrong_key_is_told_so(http: httpx.AsyncClient, change: str) -> None:
    answer = await http.post("/predict", json=GOOD, headers={"authorization": f"Bearer {change}".encode()})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/predict", "score"),
        ("POST", "/predict/batch", "score"),
        ("GET", "/model", "read"),
        ("POST", "/labels", "admin"),
    ],
)
async def test_each_route_opens_to_its_scope_alone(
    http: httpx.AsyncClient, holder: Holder, method: str, path: str, scope: str
) -> None:
    for name in ("score", "read", "admin"):
        answer = await http.request(method, path, json=[GOOD], headers=holder.headers(name))
        if name == scope:
            assert answer.status_code in (200, 422)
        else:
            assert answer.status_code == 403
            assert error_of(answer)["code"] == "forbidden"
            assert f'scope="{scope}"' in answer.headers["www-authenticate"]


async def test_the_key_may_come_without_bearer_or_under_its_own_name(
    http: httpx.AsyncClient, holder: Holder
) -> None:
    text = holder.texts["score"]
    for headers in ({"x-api-key": text}, {"authorization": text}, {"authorization": f"bEARER  {text}"}):
        assert (await http.post("/predict", json=GOOD, headers=headers)).status_code == 200
    both = {"x-api-key": text, "authorization": f"Bearer {text}"}
    assert (await http.post("/predict", json=GOOD, headers=both)).status_code == 401


async def test_a_key_whose_time_is_over_is_refused(http: httpx.AsyncClient, holder: Holder) -> None:
    assert (await http.post("/predict", json=GOOD, headers=holder.headers("old"))).status_code == 200
    holder.now_s += 86_401
    answer = await http.post("/predict", json=GOOD, headers=holder.headers("old"))
    assert answer.status_code == 401
    assert "is over" in error_of(answer)["message"]


async def test_health_is_open_and_readiness_says_more_to_readers(
    http: httpx.AsyncClient, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def statuses() -> dict[str, Status]:
        return {"ingress": Status(ok=True, detail="answers", problem="", replica="r1", uptime_s=1.0)}

    monkeypatch.setattr(holder.ingress, "_statuses", statuses)
    assert (await http.get("/health")).status_code == 200
    for headers in ({}, holder.headers("score"), {"authorization": "Bearer wrong"}):
        assert (await http.get("/ready", headers=headers)).json().keys() == {"ready"}
    read = (await http.get("/ready", headers=holder.headers("read"))).json()
    assert read["dependencies"]["ingress"]["ok"]


async def test_what_is_no_route_is_told_to_keys_alone(http: httpx.AsyncClient, holder: Holder) -> None:
    answer = await http.get("/nothing", headers=holder.headers("read"))
    assert (answer.status_code, error_of(answer)["code"]) == (404, "not_found")
    answer = await http.get("/predict", headers=holder.headers("score"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_key_that_sends_too_much_is_told_when_to_come_back(
    http: httpx.AsyncClient, holder: Holder
) -> None:
    slow = holder.headers("slow")
    assert [(await http.post("/predict", json=GOOD, headers=slow)).status_code for _ in range(4)] == [200] * 3 + [
        429
    ]
    answer = await http.post("/predict", json=GOOD, headers=slow)
    assert error_of(answer)["code"] == "rate_limited"
    assert answer.headers["retry-after"] == "1"
    assert (await http.post("/predict", json=GOOD, headers=holder.headers("score"))).status_code == 200
    holder.monotonic_s += 1
    assert (await http.post("/predict", json=GOOD, headers=slow)).status_code == 200


@pytest.mark.parametrize(("told", "pause_s"), [("3", 3), ("0", 1), ("-3", 1), ("many", 1), ("99999", 1), ("", 1)])
async def test_a_replica_among_several_admits_its_part(
    http: httpx.AsyncClient, holder: Holder, told: str, pause_s: int
) -> None:
    headers = {**holder.headers("slow"), "x-tollgate-replicas": told}
    answers = [await http.post("/predict", json=GOOD, headers=headers) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429]
    assert answers[-1].headers["retry-after"] == str(pause_s)


@pytest.mark.parametrize("path", ["/predict/batch", "/labels"])
async def test_each_row_of_a_bulk_request_is_paid_for(http: httpx.AsyncClient, holder: Holder, path: str) -> None:
    slow = holder.headers("slow")
    labels = [
        {"transaction_id": f"t{i}", "timestamp": "2025-02-06T10:00:00Z", "is_fraud": True, "source": "analyst"}
        for i in range(10)
    ]
    rows = labels if path == "/labels" else [GOOD] * 10
    assert (await http.post(path, json=rows, headers=slow)).status_code == 200
    # 3 at once, less the request and its 10 rows: 8 in debt, so 9 s until one is there.
    holder.monotonic_s += 8
    refused = await http.post(path, json=rows[:1], headers=slow)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    holder.monotonic_s += 1
    assert (await http.post(path, json=[{}], headers=slow)).status_code == 200


async def test_without_keys_in_force_everybody_is_let_in() -> None:
    ingress = Ingress(RouterHandle(), FeaturesHandle(), LogHandle(), Callers())
    async with reached(ingress.in_front_of(ingress.__serve_build_asgi_app__())) as http:
        assert (await http.post("/predict", json=GOOD)).status_code == 200
        assert (await http.post("/predict", json=GOOD, headers={"authorization": "Basic x"})).status_code == 200
        assert (await http.get("/nothing")).status_code == 404


async def test_every_answer_has_the_security_headers_once(http: httpx.AsyncClient, holder: Holder) -> None:
    for path, key in (
        ("/health", None),
        ("/model", None),
        ("/model", "read"),
        ("/nothing", "read"),
        ("/docs", None),
    ):
        answer = await http.get(path, headers=holder.headers(key) if key else {})
        assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
        assert answer.headers["cache-control"] == "no-store"
        assert ("default-src" in answer.headers["content-security-policy"]) == (path != "/docs")
    answer = await http.post("/predict", json=GOOD, headers=holder.headers("score"))
    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_the_documentation_can_be_switched_off() -> None:
    ingress = Ingress(RouterHandle(), FeaturesHandle(), LogHandle(), Callers())
    async with reached(ingress.in_front_of(ingress.__serve_build_asgi_app__())) as http:
        assert (await http.get("/openapi.json")).status_code == 200
        await ingress.reconfigure({"docs": False})
        for path in sorted(DOCS):
            assert (await http.get(path)).status_code == 404


def test_every_route_of_the_application_is_in_the_table() -> None:
    app = Ingress(RouterHandle(), FeaturesHandle(), LogHandle(), Callers()).__serve_build_asgi_app__()
    assert isinstance(app, FastAPI)
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    assert len(routes) >= 6
    for route in routes:
        path = route.path.replace("{", "").replace("}", "")
        for method in route.methods:
            assert route_of(method, path) is not None, f"{method} {route.path} needs a scope in routes.py"


async def test_below_a_prefix_the_inner_gate_knows_the_routes(holder: Holder) -> None:
    app = holder.ingress.__serve_build_asgi_app__()

    async def mounted(scope: AsgiScope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": "/tollgate"}, receive, send)

    async with reached(holder.ingress.in_front_of(mounted)) as http:
        assert (await http.get("/tollgate/health")).status_code == 200
        assert (await http.get("/tollgate/model")).status_code == 401
        assert (
            await http.post("/tollgate/predict", json=GOOD, headers=holder.headers("score"))
        ).status_code == 200
