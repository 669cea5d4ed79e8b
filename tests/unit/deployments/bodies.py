"""Request bodies, the service that they go to, and the one shape of its errors."""

import json
from typing import Any

from deployments.batcher import Observer
from deployments.hot_route import Answer
from tests.unit.deployments.graph import Graph
from tests.unit.deployments.service import Service

GOOD = {"timestamp": "2026-02-06T10:00:00", "customer_id": "c1", "amount": 100}
FEATURES = b"include=features"


def scoring(graph: Graph, observer: Observer | None = None, **bounds: Any) -> Service:
    """Return the service over a graph, at a time that stands still."""
    return Service(graph, observer, **bounds)


def encode(value: Any) -> bytes:
    return json.dumps(value).encode()


def good(**changes: Any) -> dict[str, Any]:
    return GOOD | changes


def error_of(answer: Answer, status: int) -> dict[str, Any]:
    """Return the error of an answer, which must be in the one shape."""
    assert answer.status == status, answer.body
    body = json.loads(answer.body)
    assert body.keys() == {"error"}
    return checked_error(body["error"])


def checked_error(error: dict[str, Any]) -> dict[str, Any]:
    assert error.keys() == {"code", "message", "details"}
    assert error["message"]
    for detail in error["details"]:
        assert detail.keys() == {"field", "message"}
        assert detail["field"]
        assert detail["message"]
    return error


def fields_of(error: dict[str, Any]) -> list[str]:
    return [detail["field"] for detail in error["details"]]
