"""The open-loop generator against a server of its own: every request is counted, in the second it was due."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

from loadtests.open_loop import OpenLoop, Second

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
BARE_503 = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
NEVER = b""
Answer = Callable[[int], bytes]


@asynccontextmanager
async def served(answer: Answer) -> AsyncIterator[int]:
    """A server that gives the n-th request (from 0) what ``answer`` says; its port."""
    numbers = count()

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            # The requests are short, and the next is not sent before the answer: each comes as a whole.
            assert data.endswith(b"\r\n\r\n{}")
            self.transport.write(answer(next(numbers)))

    server = await asyncio.get_running_loop().create_server(Served, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def sent(answer: Answer, connections: int = 50, rate: float = 100, settle_s: float = 5.0) -> Second:
    async with served(answer) as port:
        load = OpenLoop("127.0.0.1", port, lambda: b"{}", connections)
        await load.send(rate, 1)
        await load.settle(settle_s)
    [second] = load.seconds
    return second


def all_of(second: Second) -> int:
    return second.accepted + second.refused + second.other + second.not_sent


async def test_every_request_of_the_timetable_is_sent_and_answered() -> None:
    second = await sent(lambda _: OK)
    assert (second.due, second.accepted, all_of(second)) == (100, 100, 100)
    assert len(second.latencies_s) == 100


async def test_a_503_is_a_refusal_only_when_it_says_when_to_come_again() -> None:
    second = await sent(lambda number: BUSY if number % 2 else BARE_503)
    assert (second.refused, second.other, second.accepted) == (50, 50, 0)
    assert len(second.refusals_s) == 50


async def test_requests_leave_although_none_is_answered_until_there_are_no_connections() -> None:
    second = await sent(lambda _: NEVER, connections=30, settle_s=0.2)
    assert (second.other, second.not_sent) == (30, 70)


async def test_a_connection_that_ends_is_counted_and_replaced() -> None:
    last = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    second = await sent(lambda number: last if number % 10 == 0 else OK)
    assert (second.accepted, all_of(second)) == (100, 100)


async def test_where_nobody_listens_every_request_is_counted_as_unanswered() -> None:
    async with served(lambda _: OK) as port:
        pass
    load = OpenLoop("127.0.0.1", port, lambda: b"{}", 10)
    await load.send(50, 1)
    await load.settle(5)
    assert load.seconds[0].other == 50
