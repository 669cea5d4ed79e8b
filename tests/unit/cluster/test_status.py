import http.server
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from cluster import head
from cluster import status as module
from cluster.serve_rest import Application, Deployment
from cluster.settings import ClusterSettings, Ports
from cluster.status import Part, status


class Ready(http.server.BaseHTTPRequestHandler):
    """Answers GET /ready as a service whose online store is down."""

    body: ClassVar = b'{"ready": false, "dependencies": {"store": {"ok": false, "detail": "refused"}}}'

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def unready(settings: ClusterSettings) -> Iterator[ClusterSettings]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield settings.model_copy(
            update={"ports": Ports(**(settings.ports.model_dump() | {"http": server.server_port}))}
        )
        server.shutdown()
        serving.join()


def test_a_dependency_that_is_down_is_named_with_its_reason(unready: ClusterSettings) -> None:
    parts = status(unready)
    assert Part("  store", False, "refused") in parts
    assert "not ready" in [part.detail for part in parts]


def test_settings_that_were_refused_are_told(unready: ClusterSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        b'{"ready": true, "dependencies": {"router": {"ok": true, "detail": "version 1", "problem": "bad rule"}}}'
    )
    monkeypatch.setattr(Ready, "body", body)
    assert Part("  router", False, "version 1; bad rule") in status(unready)


def test_when_nothing_stands_every_part_is_down_and_none_is_missing(settings: ClusterSettings) -> None:
    parts = status(settings)
    assert [part.name for part in parts] == ["Online store", "Model registry", "Ray", "Serve", "Readiness"]
    assert not any(part.up for part in parts)


def test_nodes_that_left_or_came_back_are_no_concern(
    settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        ("10.0.0.1", "DEAD", "Unexpected termination: health check failed"),
        ("10.0.0.1", "ALIVE", None),
        ("10.0.0.2", "DEAD", "Expected termination: received SIGTERM"),
        ("10.0.0.3", "DEAD", "Unexpected termination: health check failed"),
    ]
    found = [{"node_ip": ip, "state": state, "state_message": message} for ip, state, message in rows]
    monkeypatch.setattr(head, "nodes", lambda _: found)
    parts = [(part.name, part.up) for part in status(settings) if part.name.startswith("Ray node")]
    assert parts == [("Ray node 10.0.0.1", True), ("Ray node 10.0.0.3", False)]


def test_a_deployment_with_a_replica_too_few_is_down_and_says_why_in_a_line(
    settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = "The replica failed to start:\nTraceback\n  File\nInvalidKeys: the API keys cannot be read\n"
    ingress = Deployment("Ingress", "HEALTHY", trace, 1, 2, ())
    monkeypatch.setattr(
        module, "applications", lambda *_, **__: [Application("tollgate", "RUNNING", "", (ingress,))]
    )
    [part] = [part for part in status(settings) if part.name == "  Ingress"]
    assert part == Part("  Ingress", False, "HEALTHY, 1 of 2 replicas InvalidKeys: the API keys cannot be read")
