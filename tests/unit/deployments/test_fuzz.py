"""Schemathesis against the document of the API, over a real HTTP server: what it says is what happens."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from deployments.ingress import Ingress
from tests.unit.deployments.graph import FeaturesHandle, Graph, LogHandle, RouterHandle

PLAUSIBLE = ("/predict",)
"""Routes whose good bodies can be mended so that they are taken; of the others, schemas alone cannot say it."""
CENT = 0.01


class Decided(dict[str, dict[str, Any]]):
    """What a log knows that has every decision of a graph."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self._graph = graph

    def __contains__(self, transaction_id: object) -> bool:
        return any(transaction_id in batch for batch in self._graph.seen)

    def __getitem__(self, transaction_id: str) -> dict[str, Any]:
        return {"transaction_id": transaction_id}


@pytest.fixture(scope="module")
def document() -> Iterator[Any]:
    """The document of an ingress over a stand-in for the graph, served as in a replica."""
    graph = Graph()
    ingress = Ingress(RouterHandle(graph), FeaturesHandle(), LogHandle(Decided(graph)))
    asyncio.run(ingress.reconfigure({"deadline_ms": 60_000, "max_wait_ms": 60_000}))
    app = ingress.in_front_of(ingress.__serve_build_asgi_app__())
    server = uvicorn.Server(uvicorn.Config(app, loop="uvloop", http="httptools", log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{listener.getsockname()[1]}/openapi.json")
        server.should_exit = True
        thread.join()


FIND = "/decisions/{transaction_id}"
BOTH = list(GenerationMode)
OPERATIONS = {
    ("POST", "/predict"): BOTH,
    ("POST", "/predict/batch"): BOTH,
    ("POST", "/labels"): BOTH,
    ("GET", FIND): BOTH,
    # Without a parameter there is nothing to get wrong.
    ("GET", "/health"): [GenerationMode.POSITIVE],
    ("GET", "/model"): [GenerationMode.POSITIVE],
}
MANY = ("/predict/batch", "/labels")
"""Routes that answer for each row, so that a bad one is an error in a good answer."""


@pytest.mark.parametrize(
    ("method", "path", "mode"), [(*operation, mode) for operation, modes in OPERATIONS.items() for mode in modes]
)
def test_the_api_does_what_its_document_says(document: Any, method: str, path: str, mode: GenerationMode) -> None:
    operation = document[path][method]

    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=25, suppress_health_check=list(HealthCheck), database=None)
    def holds(case: Any) -> None:
        if mode is GenerationMode.POSITIVE:
            make_plausible(case)
        excluded = [negative_data_rejection] if path in MANY else []
        if path not in PLAUSIBLE:
            excluded.append(positive_data_acceptance)
        case.call_and_validate(excluded_checks=excluded)

    holds()


def make_plausible(case: Any) -> None:
    """Mend in a payment what a schema cannot say: its time, an amount of a cent, a place of two sides."""
    body = case.body
    if case.operation.path not in PLAUSIBLE or not isinstance(body, dict):
        return
    if isinstance(body.get("timestamp"), int | float | str):
        body["timestamp"] = "2026-01-31T23:59:59.999+01:00"
    if isinstance(body.get("amount"), int | float) and 0 < body["amount"] < CENT:
        body["amount"] = CENT
    if body.get("lat") is None or body.get("long") is None:
        body |= dict.fromkeys(body.keys() & {"lat", "long"})


def test_every_operation_is_tried(document: Any) -> None:
    assert {(one.ok().method.upper(), one.ok().path) for one in document.get_all_operations()} == {
        *OPERATIONS,
        ("GET", "/ready"),  # It names its replica, which this server has none of: tests/serve tries it.
    }


def test_a_decision_is_found_under_the_id_that_its_answer_names(document: Any) -> None:
    statuses: list[int] = []

    class Course(document.as_state_machine()):  # type: ignore[misc]
        def before_call(self, case: Any) -> None:
            make_plausible(case)

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:
            case.validate_response(response, excluded_checks=[positive_data_acceptance, negative_data_rejection])
            if case.operation.path == FIND:
                statuses.append(response.status_code)

    bounds = settings(
        max_examples=10,
        stateful_step_count=6,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    Course.run(settings=bounds)
    assert 200 in statuses  # Ids that no answer named are not found.
