"""A connection that was reset is forgotten: a real server, and clients that reset."""

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.config import HTTP_PROTOCOLS

from deployments.http_protocol import Protocol, use_protocol
from deployments.in_front_of_serve import layers

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: closing resets."""
CONNECTIONS = 20


@pytest.fixture(autouse=True)
def _choice_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HTTP_PROTOCOLS, "auto", HTTP_PROTOCOLS["auto"])


@pytest.fixture
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    """A server as Serve makes it, less what no request meets; its port."""
    config = uvicorn.Config(PlainTextResponse("fine"), lifespan="off", access_log=False, log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def ask_and_reset(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await reader.readuntil(b"fine")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


def kept() -> int:
    return sum(type(one) is Protocol for one in gc.get_objects())


@pytest.mark.usefixtures("_no_collection")
async def test_a_connection_that_was_reset_is_forgotten_at_once() -> None:
    use_protocol()
    async with served() as port:
        for _ in range(CONNECTIONS):
            await ask_and_reset(port)
        async with asyncio.timeout(4):  # Less than the 5 s after which uvicorn's timer would have let go.
            while kept():  # noqa: ASYNC110 - nothing tells it: that is what is tested.
                await asyncio.sleep(0.01)


async def test_one_that_stays_open_is_asked_again() -> None:
    use_protocol()
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"fine")
        assert kept() == 1
        writer.close()


def test_the_server_of_a_replica_uses_it() -> None:
    layers()
    config = uvicorn.Config(PlainTextResponse("fine"))
    config.load()
    assert config.http_protocol_class is Protocol
