"""Clients that stall, send too much, open too many connections or leave: they harm nobody else."""

import contextlib
import json
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from cluster.haproxy import max_connections
from cluster.settings import ClusterSettings
from loadtests.chaos.stack_processes import replicas

pytestmark = pytest.mark.chaos

STALLED = 600
"""More than the places of two ingress replicas."""
CONNECTIONS = min(5_000, max_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
LEAVERS = 300
HUGE = 100 * 2**20
MIB = 2**20
AT_LEAST = 10
"""Payments of others that must be decided while a hostile client is at work."""
PATIENCE_S = 120.0


@pytest.fixture
def address(standing: ClusterSettings) -> tuple[str, int]:
    return "127.0.0.1", standing.ports.http


def body() -> bytes:
    payment = {"timestamp": datetime.now(UTC).isoformat(), "customer_id": "bystander", "amount": 12.5}
    return json.dumps(payment).encode()


def request(content: bytes, length: int) -> bytes:
    head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {length}\r\n\r\n".encode() + content


@contextmanager
def bystanders(address: tuple[str, int]) -> Iterator[None]:
    """Others who have payments decided meanwhile; each of them must be, and at least ``AT_LEAST``."""
    statuses: list[int | str] = []
    enough, ended = threading.Event(), threading.Event()

    def decide() -> None:
        with httpx.Client(base_url=f"http://{address[0]}:{address[1]}", timeout=30) as client:
            while not ended.is_set() or len(statuses) < AT_LEAST:
                try:
                    statuses.append(client.post("/predict", content=body()).status_code)
                except httpx.TransportError as error:
                    statuses.append(repr(error))
                if len(statuses) >= AT_LEAST:
                    enough.set()

    other = threading.Thread(target=decide)
    other.start()
    try:
        yield
        assert enough.wait(PATIENCE_S), f"only {len(statuses)} payments of others were decided"
    finally:
        ended.set()
        other.join(PATIENCE_S)
    assert set(statuses) == {200}


@pytest.mark.parametrize(("content", "length"), [(b'{"timestamp": ', 200), (b" " * 20_000, 30_000)])
def test_clients_that_stall_while_they_send_a_body_hold_up_nobody(
    address: tuple[str, int], content: bytes, length: int
) -> None:
    with ExitStack() as stalled:
        for _ in range(STALLED):
            connection = stalled.enter_context(socket.create_connection(address))
            connection.sendall(request(content, length))
        with bystanders(address):
            pass


def test_a_client_that_never_ends_its_headers_is_sent_away(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_a_body_of_100_megabytes_is_refused_and_not_kept(
    address: tuple[str, int], standing: ClusterSettings
) -> None:
    def memory() -> int:
        return sum(int(one.memory_full_info().uss) for one in replicas(standing, "Ingress"))

    before = memory()
    with bystanders(address), socket.create_connection(address) as connection:
        connection.settimeout(PATIENCE_S)
        connection.sendall(request(b"", HUGE))
        # The rest need not be taken: a client that is refused finds its connection closed.
        with contextlib.suppress(ConnectionError):
            for _ in range(HUGE // MIB):
                connection.sendall(b" " * MIB)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert memory() - before < 50 * MIB


def test_thousands_of_idle_connections_keep_nobody_out(address: tuple[str, int]) -> None:
    with ExitStack() as idle:
        for _ in range(CONNECTIONS):
            idle.enter_context(socket.create_connection(address))
        with bystanders(address):
            pass


def test_clients_that_leave_before_the_answer_leave_nothing_behind(
    address: tuple[str, int], standing: ClusterSettings
) -> None:
    with bystanders(address):
        for _ in range(LEAVERS):
            with socket.create_connection(address) as connection:
                content = body()
                connection.sendall(request(content, len(content)))
    processes: list[psutil.Process] = replicas(standing, "Ingress")
    assert all(len(one.net_connections("tcp")) < LEAVERS for one in processes)
