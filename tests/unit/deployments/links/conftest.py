"""Links on a real socket: a replica's end and a caller's, in one event loop."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from deployments.links.frames import Frames
from deployments.links.served import ServedMethod


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A short folder of this test alone: a socket's path has some 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="tg-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield folder


@pytest.fixture(autouse=True)
async def _nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """In service, sockets and connections live as long as their process; here each test ends its own."""
    servers: list[ServedMethod] = []
    ends: list[Frames] = []
    open_socket, connection_made = ServedMethod.open, Frames.connection_made

    async def remember_server(served: ServedMethod) -> str:
        servers.append(served)
        return await open_socket(served)

    def remember_end(end: Frames, transport: asyncio.BaseTransport) -> None:
        ends.append(end)
        connection_made(end, transport)

    monkeypatch.setattr(ServedMethod, "open", remember_server)
    monkeypatch.setattr(Frames, "connection_made", remember_end)
    yield
    for end in ends:
        end.close()
    for served in servers:
        assert served._server is not None
        served._server.close()
        await served._server.wait_closed()
    await asyncio.sleep(0)


class Replica:
    """A replica whose method doubles; it can be held, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.served = ServedMethod(self.double)
        self._count = asyncio.Condition()

    async def double(self, value: Any) -> Any:
        """Return the value twice, once it may."""
        async with self._count:
            self.asked.append(value)
            self._count.notify_all()
        await self.may_answer.wait()
        return value + value

    async def was_asked(self, times: int) -> None:
        """Wait until it was asked so many times."""
        async with self._count:
            await self._count.wait_for(lambda: len(self.asked) >= times)
