"""The layer in front of Serve's own: all passes until there is an ingress, then its hot route is answered."""

import asyncio
from dataclasses import dataclass

import httpx
import pytest
import ray.serve
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.config import HTTP_PROTOCOLS

from deployments.in_front_of_serve import FrontLayer, layers
from deployments.ingress import Ingress
from tests.unit.deployments.graph import FeaturesHandle, Graph, LogHandle, RouterHandle

GOOD = {"timestamp": "2025-02-06T10:00:00", "customer_id": "c1", "amount": 100, "transaction_id": "t1"}


@dataclass
class Context:
    """What Serve tells a replica of itself, as far as the layer asks."""

    servable_object: object = None


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Context:
    """The context of this replica, which has no object yet."""
    context = Context()
    monkeypatch.setattr(ray.serve, "get_replica_context", lambda: context)
    return context


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("behind")(scope, receive, send)


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(FrontLayer(behind)), base_url="http://tollgate")


async def test_all_passes_until_there_is_an_ingress_and_then_the_hot_route_is_answered(context: Context) -> None:
    graph = Graph()
    async with client() as http:
        assert (await http.post("/predict", json=GOOD)).text == "behind"
        context.servable_object = Ingress(RouterHandle(graph), FeaturesHandle(), LogHandle())
        assert (await http.post("/predict", json=GOOD)).json()["transaction_id"] == "t1"
        assert (await http.get("/health")).text == "behind"
        assert (await http.post("/predict/batch", json=[GOOD])).text == "behind"
    assert graph.seen == [["t1"]]


async def test_the_ingress_is_found_once(context: Context) -> None:
    async with client() as http:
        context.servable_object = Ingress(RouterHandle(), FeaturesHandle(), LogHandle())
        await http.post("/predict", json=GOOD)
        context.servable_object = None
        assert (await http.post("/predict", json=GOOD)).json()["transaction_id"] == "t1"


class AsServeWrapsIt(Ingress):
    """Serve hands its replicas objects of a class that it derives."""


async def test_an_ingress_as_serve_wraps_it_is_one(context: Context) -> None:
    assert issubclass(ray.serve.ingress()(Ingress), Ingress)
    context.servable_object = AsServeWrapsIt(RouterHandle(), FeaturesHandle(), LogHandle())
    async with client() as http:
        assert (await http.post("/predict", json=GOOD)).json()["transaction_id"] == "t1"


async def test_in_a_replica_of_another_deployment_all_passes(context: Context) -> None:
    context.servable_object = object()
    async with client() as http:
        assert (await http.post("/predict", json=GOOD)).text == "behind"


async def test_serve_puts_the_layer_around_its_application(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])
    context.servable_object = Ingress(RouterHandle(), FeaturesHandle(), LogHandle())
    app = Starlette(middleware=layers())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://tollgate") as http:
        assert (await http.post("/predict", json=GOOD)).status_code == 200
        assert (await http.get("/health")).status_code == 404


async def test_an_ingress_in_another_loop_is_left_to_serve(context: Context) -> None:
    ingress = Ingress(RouterHandle(), FeaturesHandle(), LogHandle())
    await ingress.reconfigure({})
    context.servable_object = ingress
    async with client() as http:
        assert (await http.post("/predict", json=GOOD)).json()["transaction_id"] == "t1"
    other = asyncio.new_event_loop()
    ingress.loop = other
    async with client() as http:
        assert (await http.post("/predict", json=GOOD)).text == "behind"
    other.close()
