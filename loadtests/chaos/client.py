"""The client of docs/guarantees.md: an id of its own for each payment, the same request until it is decided."""

import asyncio
import itertools
import random
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx

from loadtests.chaos.asked import BUSY, NO_ANSWER, OK, Asked, Attempt, read_answer
from loadtests.chaos.payments import Payment

ATTEMPT_S: Final = 6.0
"""How long an attempt waits for its answer. More than the deadline of a decision, or it would only add load."""
PAUSE_S: Final = 0.5
"""Pause before an attempt when the last answer named none."""
JITTER: Final = 0.5
"""Pauses vary by this share, so that clients that failed together do not come back together."""
CONNECTIONS: Final = 400
HEADERS: Final = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Habits:
    """How the client sends.

    Attributes:
        rate: payments a second.
        twice: share of payments that are sent in two copies at once, as two impatient servers of a client do.
        again: share of payments that are sent again after their answer, as a client does that lost it.
        patience_s: how long it tries before it gives a payment up.
    """

    rate: float
    twice: float = 0.05
    again: float = 0.05
    patience_s: float = 240.0


class Client:
    """Sends payments at a steady rate, whatever becomes of those before, and keeps what it got.

    Args:
        urls: of the service. An attempt without an answer is followed by one at the next of them.
        source: gives the payments.
        habits: how they are sent.
        seed: of the choice of payments that are sent twice or again, and of pauses.
        transport: of httpx; None: the network.
        pause_s: before an attempt when the last answer named none.
        headers: of each request, beside the usual ones.
    """

    def __init__(
        self,
        urls: Sequence[str],
        source: Iterator[Payment],
        habits: Habits,
        seed: int,
        transport: httpx.AsyncBaseTransport | None = None,
        pause_s: float = PAUSE_S,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._urls = tuple(urls)
        self._turns = itertools.count()
        self._source = source
        self._pause_s = pause_s
        self._habits = habits
        self._choice = random.Random(seed)
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._http = httpx.AsyncClient(
            timeout=ATTEMPT_S, limits=limits, headers={**HEADERS, **(headers or {})}, transport=transport
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked: list[Asked] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def send_until(self, ended: asyncio.Event) -> None:
        """Send at the steady rate until the event is set."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not ended.is_set():
            self.send()
            due += 1 / self._habits.rate
            await asyncio.sleep(max(0.0, due - loop.time()))

    def send(self) -> None:
        """Send one payment and see to it in the background."""
        one = Asked(next(self._source))
        self.asked.append(one)
        copies = 2 if self._choice.random() < self._habits.twice else 1
        self._start(self._decide(one, copies, self._choice.random() < self._habits.again))

    async def settle(self) -> None:
        """Return once every payment is decided or given up."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def repeat_all(self, at_once: int = 8) -> None:
        """Ask once more for every payment that was decided: each must get the decision that it got."""
        turns = asyncio.Semaphore(at_once)

        async def repeat(one: Asked) -> None:
            async with turns:
                await self.decide(one)

        await asyncio.gather(*(repeat(one) for one in self.asked if one.told is not None))

    async def decide(self, one: Asked, query: str = "") -> httpx.Response | None:
        """Send a payment again and again, unchanged, until it is decided; None when it was given up."""
        ends = time.monotonic() + self._habits.patience_s
        turn = next(self._turns)
        while True:
            answer = await self._attempt(one, self._urls[turn % len(self._urls)], query)
            turn += answer is None
            if answer is not None and answer.status_code == OK:
                return answer
            if time.monotonic() > ends:
                return None
            named = None if answer is None else answer.headers.get("retry-after")
            pause_s = self._pause_s if named is None else float(named)
            await asyncio.sleep(pause_s * (1 + JITTER * self._choice.random()))

    async def _decide(self, one: Asked, copies: int, again: bool) -> None:
        await asyncio.gather(*(self.decide(one) for _ in range(copies)))
        if again and one.told is not None:
            await self.decide(one)

    async def _attempt(self, one: Asked, url: str, query: str) -> httpx.Response | None:
        sent_s = time.monotonic()
        try:
            answer = await self._http.post(f"{url}/predict{query}", content=one.payment.body)
        except httpx.TransportError as error:
            one.attempts.append(Attempt(sent_s, time.monotonic(), NO_ANSWER, type(error).__name__))
            return None
        one.attempts.append(attempt_of(sent_s, answer, one.payment.transaction_id))
        return answer

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def attempt_of(sent_s: float, answer: httpx.Response, asked: str) -> Attempt:
    """Return an attempt that was answered."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    told, duplicate, degraded, error = read_answer(answer.status_code, document, asked)
    return Attempt(
        sent_s,
        time.monotonic(),
        answer.status_code,
        error,
        retry_after=answer.status_code == BUSY and "retry-after" in answer.headers,
        told=told,
        duplicate=duplicate,
        degraded=degraded,
    )
