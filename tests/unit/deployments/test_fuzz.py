"""Schemathesis against the document of the API, over a real HTTP server: what it says is what happens."""

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
from tests.unit.deployments.graph import FeaturesHandle, LogHandle, RouterHandle

# A schema cannot say that a date is plausible, or that lat needs long.
EXCLUDED = [positive_data_acceptance]


@pytest.fixture(scope="module")
def document() -> Iterator[Any]:
    """The document of an ingress over a stand-in for the graph, served as in a replica."""
    ingress = Ingress(RouterHandle(), FeaturesHandle(), LogHandle())
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


BOTH = list(GenerationMode)
OPERATIONS = {
    ("POST", "/predict"): BOTH,
    ("POST", "/predict/batch"): BOTH,
    ("POST", "/labels"): BOTH,
    ("GET", "/decisions/{transaction_id}"): BOTH,
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
        case.call_and_validate(excluded_checks=[*EXCLUDED, *([negative_data_rejection] if path in MANY else [])])

    holds()


def test_every_operation_is_tried(document: Any) -> None:
    assert {(one.ok().method.upper(), one.ok().path) for one in document.get_all_operations()} == {
        *OPERATIONS,
        ("GET", "/ready"),  # It names its replica, which this server has none of: tests/serve tries it.
    }
