"""Clients who leave, and clients who wait, before a real HTTP server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.hot_route import Answer, Gone, HotRoute
from deployments.scoring import Scoring
from deployments.settings import BatchSettings, IngressSettings
from tests.unit.deployments.batches import Account
from tests.unit.deployments.graph import Graph

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SERVERS = ["httptools", "h11"]
PATIENCE_S = 30
"""Bound on what takes milliseconds, so that a failure ends."""


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError((scope, receive, send))


@asynccontextmanager
async def served(app: ASGIApp, http: str) -> AsyncIterator[int]:
    """Yield the port of a server of the application, which runs in the loop of the test."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=http, lifespan="off", log_config=None)  # type: ignore[arg-type]
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])
        yield listening.getsockname()[1]
        await server.shutdown([listening])


async def post(port: int, body: bytes) -> Client:
    """Send a request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /predict HTTP/1.1\r\nhost: tollgate\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    return reader, writer


async def leave(client: Client) -> None:
    client[1].close()
    await client[1].wait_closed()


async def body_of(client: Client) -> bytes:
    """Return the body of the answer to a client."""
    head = await client[0].readuntil(b"\r\n\r\n")
    [length] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return await client[0].readexactly(int(length.partition(b":")[2]))


async def is_gone(gone: Gone) -> None:
    """Wait until a client is known to have left."""
    async with asyncio.timeout(PATIENCE_S):
        while not gone():  # noqa: ASYNC110 - nothing tells it: that is what is tested.
            await asyncio.sleep(0)


@dataclass
class Desk:
    """Answers a request with its body, once the test lets it.

    Attributes:
        came: by body, how to ask whether the client has gone.
        arrivals: bodies in order of arrival, to wait for.
        may_answer: set by the test.
    """

    came: dict[bytes, Gone] = field(default_factory=dict)
    arrivals: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, body: bytes, query: bytes, gone: Gone) -> Answer:  # noqa: ARG002 - as the route demands.
        self.came[body] = gone
        self.arrivals.put_nowait(body)
        await self.may_answer.wait()
        return Answer(200, body)

    async def arrival(self) -> Gone:
        async with asyncio.timeout(PATIENCE_S):
            return self.came[await self.arrivals.get()]


@pytest.mark.parametrize("http", SERVERS)
async def test_who_closes_the_connection_has_gone_and_who_waits_has_not(http: str) -> None:
    desk = Desk()
    async with served(HotRoute(behind, "/predict", desk, lambda: 100), http) as port:
        waiting, leaving = await post(port, b"waits"), await post(port, b"leaves")
        await desk.arrival()
        await desk.arrival()
        assert not desk.came[b"waits"]()
        assert not desk.came[b"leaves"]()
        await leave(leaving)
        await is_gone(desk.came[b"leaves"])
        assert not desk.came[b"waits"]()
        desk.may_answer.set()
        assert await body_of(waiting) == b"waits"
        await leave(waiting)


@pytest.mark.parametrize("http", SERVERS)
async def test_on_a_connection_that_is_kept_each_request_has_a_client_of_its_own(http: str) -> None:
    desk = Desk()
    desk.may_answer.set()
    async with served(HotRoute(behind, "/predict", desk, lambda: 100), http) as port:
        client = await post(port, b"first")
        assert await body_of(client) == b"first"
        desk.may_answer.clear()
        client[1].write(b"POST /predict HTTP/1.1\r\nhost: tollgate\r\ncontent-length: 6\r\n\r\nsecond")
        await desk.arrival()
        second = await desk.arrival()
        assert not second()
        await leave(client)
        await is_gone(second)
        desk.may_answer.set()


async def test_a_transaction_whose_client_left_the_queue_does_not_reach_the_graph() -> None:
    graph, account = Graph(gate=asyncio.Event()), Account()
    bounds = IngressSettings(batch=BatchSettings(max_size=1, slots=1), max_wait_ms=60_000)
    scoring = Scoring(graph.decide, bounds, account)
    asked: asyncio.Queue[Gone] = asyncio.Queue()

    async def answer(body: bytes, query: bytes, gone: Gone) -> Answer:
        asked.put_nowait(gone)
        return await scoring.predict(body, query, gone)

    async with served(HotRoute(behind, "/predict", answer, lambda: 1000), "httptools") as port:
        clients = []
        for name in ("first", "leaves", "last"):
            body = b'{"transaction_id":"%b","timestamp":"2026-02-06T10:00:00","customer_id":"c","amount":1}'
            clients.append(await post(port, body % name.encode()))
            async with asyncio.timeout(PATIENCE_S):
                gone = await asked.get()
            if name == "leaves":
                await leave(clients[-1])
                await is_gone(gone)
        assert graph.gate is not None
        graph.gate.set()
        assert b'"first"' in await body_of(clients[0])
        assert b'"last"' in await body_of(clients[2])
        for client in (clients[0], clients[2]):
            await leave(client)
    assert graph.seen == [["first"], ["last"]]
    assert account.lost == {"abandoned": 1}
