"""An open-loop generator: requests leave by a timetable that does not wait for answers.

A closed loop (wrk, locust) sends the next request when the last is answered, so an overloaded service slows its
own load down, and what it does at three times its capacity cannot be seen. Here each request takes the next free
connection, or a new one, up to ``connections``. What finds none is counted as not sent: then the load was less
than the plan, and the report says so.

Limits: one process and one thread; with the service on the same machine it takes CPU from it, so rates hold as
parts of each other alone. Run it by uvloop, which takes two thirds of the CPU that asyncio's own loop does.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

LATE_S: Final = 0.05
"""A request that leaves later than this after its time was held up by the generator: it is counted."""


@dataclass(slots=True)
class Second:
    """What became of the requests that were due in one second.

    Attributes:
        due: of the timetable.
        not_sent: for want of a connection.
        late: sent more than ``LATE_S`` after their time, as the generator was too slow.
        accepted: answered by 200.
        refused: answered by 503 with Retry-After.
        others: answered otherwise, by status, or not at all.
        latencies_s: of the accepted, from their time in the timetable.
        refusals_s: of the refused, likewise.
    """

    due: int = 0
    not_sent: int = 0
    late: int = 0
    accepted: int = 0
    refused: int = 0
    others: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    refusals_s: list[float] = field(default_factory=list)

    @property
    def other(self) -> int:
        """How many ``others`` there are."""
        return self.others.total()


class OpenLoop:
    """Sends requests to one address.

    Args:
        host, port: of the service.
        make_body: gives the body of the next POST /predict.
        connections: at most.
    """

    def __init__(self, host: str, port: int, make_body: Callable[[], bytes], connections: int) -> None:
        self._address = (host, port)
        self._make_body = make_body
        self._connections = connections
        self._free: deque[_Connection] = deque()
        self._open: set[_Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self.seconds: list[Second] = []

    async def send(self, rate: float, seconds: int) -> None:
        """Send at a rate for some seconds; answers may come later."""
        loop = asyncio.get_running_loop()
        begin, sent = loop.time(), 0
        first = len(self.seconds)
        self.seconds += [Second() for _ in range(seconds)]
        total = int(rate * seconds)
        while sent < total:
            now = loop.time()
            while sent < total and (due := begin + sent / rate) <= now:
                self._one(self.seconds[first + int(sent / rate)], due, now)
                sent += 1
            await asyncio.sleep(0.001)

    async def settle(self, timeout_s: float) -> None:
        """Wait for the answers under way; those that do not come are ``other``."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_s
        while loop.time() < ends and (  # noqa: ASYNC110 - of thousands of connections, once at the end
            self._opening or any(one.busy for one in self._open)
        ):
            await asyncio.sleep(0.01)
        for one in list(self._open):
            one.close()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _one(self, second: Second, due: float, now: float) -> None:
        second.due += 1
        second.late += now - due > LATE_S
        if self._free:
            self._free.popleft().ask(self._make_body(), second, due)
        elif len(self._open) + len(self._opening) < self._connections:
            task = asyncio.get_running_loop().create_task(self._on_new(second, due))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            second.not_sent += 1

    async def _on_new(self, second: Second, due: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, one = await loop.create_connection(lambda: _Connection(self._idle, self._gone), *self._address)
        except OSError:
            second.others["no connection"] += 1
            return
        self._open.add(one)
        one.ask(self._make_body(), second, due)

    def _idle(self, one: "_Connection") -> None:
        self._free.append(one)

    def _gone(self, one: "_Connection") -> None:
        self._open.discard(one)
        if one in self._free:
            self._free.remove(one)


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self, idle: Callable[["_Connection"], None], gone: Callable[["_Connection"], None]) -> None:
        self._idle, self._gone = idle, gone
        self._loop = asyncio.get_running_loop()
        self._asked: tuple[Second, float] | None = None
        self._retry_after = False

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return self._asked is not None

    def ask(self, body: bytes, second: Second, due: float) -> None:
        """Send a request."""
        self._asked = second, due
        self._retry_after = False
        self._transport.write(
            b"POST /predict HTTP/1.1\r\nhost: tollgate\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )

    def close(self) -> None:
        """Close the connection; what it waits for never comes."""
        self._lose()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class.
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Read an answer, or a part of it."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - why is the same to the count
        """Count the request that gets no answer any more."""
        self._lose()
        self._gone(self)

    def _lose(self) -> None:
        if self._asked is not None:
            self._asked[0].others["no answer"] += 1
            self._asked = None

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002 - any pause will do
        """Hear of a header."""
        if name.lower() == b"retry-after":
            self._retry_after = True

    def on_message_complete(self) -> None:
        """Count the answer, and be free again."""
        assert self._asked is not None
        second, due = self._asked
        self._asked = None
        took_s = self._loop.time() - due
        status = self._parser.get_status_code()
        if status == 200:
            second.accepted += 1
            second.latencies_s.append(took_s)
        elif status == 503 and self._retry_after:
            second.refused += 1
            second.refusals_s.append(took_s)
        else:
            second.others[str(status)] += 1
        if self._parser.should_keep_alive():
            self._idle(self)
        else:
            self.close()
