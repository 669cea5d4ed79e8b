"""A replica behind HAProxy that answers when it is told to."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE_S = 60


class Replica(ThreadingHTTPServer):
    """Answers a POST when it is told to.

    Attributes:
        health: status and body of its health page.
        connections: on which a POST has come.
        told: among how many replicas requests are spread, as each POST says.
    """

    daemon_threads = True
    health = (200, "success")

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.may_answer = threading.Event()
        self.arrived = threading.Semaphore(0)
        self.checked = threading.Semaphore(0)
        self.connections: set[object] = set()
        self.told: list[str | None] = []

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that leave."""

    def waits_for(self, requests: int) -> None:
        """Return once so many requests have come."""
        for _ in range(requests):
            assert self.arrived.acquire(timeout=PATIENCE_S)


class Handler(BaseHTTPRequestHandler):
    server: Replica
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(*self.server.health)
        if self.path == "/-/healthz":
            self.server.checked.release()

    def do_POST(self) -> None:
        length = self.headers["content-length"]
        self.rfile.read(-1 if length is None else int(length))
        self.server.connections.add(self.client_address)
        self.server.told.append(self.headers["x-tollgate-replicas"])
        self.server.arrived.release()
        assert self.server.may_answer.wait(PATIENCE_S)
        self._answer()

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, status: int = 200, body: str = "") -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
