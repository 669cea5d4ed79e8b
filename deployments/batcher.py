"""The micro-batcher: greedy, bounded, with k slots.

Take everything that waits, up to a bound, the moment a slot is free; never wait on a timer while a slot is
idle. Under light load a batch is one transaction and waits for nothing; under heavy load batches grow by
themselves, because more arrives while the slots are busy.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from deployments.settings import BatchSettings
from features.errors import DeadlineExceeded, Overloaded

Item = TypeVar("Item")
Result = TypeVar("Result")

EXPIRY_STEP_S: Final = 0.01
"""Shortest pause between two searches of the queue for items whose time is over."""


@dataclass(frozen=True, slots=True)
class Share:
    """Where the items of one caller lie in the result of the batch that they travelled in."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True, eq=False)
class _Entry(Generic[Item, Result]):
    items: Sequence[Item]
    deadline: float
    future: "asyncio.Future[tuple[Result, Share]]"


class MicroBatcher(Generic[Item, Result]):
    """Joins the items of concurrent callers into batches for one coroutine function.

    Args:
        process: computes a batch; what it raises reaches every caller of that batch.
        settings: bounds; :meth:`reconfigure` changes them in place.

    The items of one caller stay together and in order; callers are served in order of arrival.
    """

    def __init__(self, process: Callable[[list[Item]], Awaitable[Result]], settings: BatchSettings) -> None:
        self._process = process
        self._settings = settings
        self._queue: deque[_Entry[Item, Result]] = deque()
        self._queued = 0
        self._pump_scheduled = False
        self._expiry: asyncio.TimerHandle | None = None
        self._running: set[asyncio.Future[Result]] = set()

    def reconfigure(self, settings: BatchSettings) -> None:
        """Take new bounds from the next batch on; what waits stays."""
        self._settings = settings
        if self._queue:
            self._schedule()

    @property
    def queued(self) -> int:
        """Items that wait for a slot."""
        return self._queued

    @property
    def running(self) -> int:
        """Batches under way."""
        return len(self._running)

    async def submit(self, items: Sequence[Item], max_wait_s: float) -> tuple[Result, Share]:
        """Return the result of the batch that carried the items, and their share of it.

        Args:
            items: 1 to ``max_size`` items that must travel together.
            max_wait_s: bound on the wait for a slot, not on the computation.

        Raises:
            ValueError: more items than a batch may hold.
            Overloaded: the queue is full; at once, nothing was computed.
            DeadlineExceeded: the items waited too long; nothing was computed.
        """
        if not 0 < len(items) <= self._settings.max_size:
            raise ValueError(f"a batch holds 1 to {self._settings.max_size} items, not {len(items)}")
        if self._queued + len(items) > self._settings.max_queue:
            raise Overloaded(f"{self._queued} transactions wait already; retry after a pause")
        loop = asyncio.get_running_loop()
        entry: _Entry[Item, Result] = _Entry(items, loop.time() + max_wait_s, loop.create_future())
        self._queue.append(entry)
        self._queued += len(items)
        self._schedule()
        self._expire_at(entry.deadline)
        return await entry.future

    def _schedule(self) -> None:
        # One turn of the loop later, all requests that were read in this turn are in the queue.
        if not self._pump_scheduled:
            self._pump_scheduled = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        while self._queue and len(self._running) < self._settings.slots:
            entries = self._take()
            if entries:
                items = [item for entry in entries for item in entry.items]
                task = asyncio.ensure_future(self._process(items))
                self._running.add(task)
                task.add_done_callback(partial(self._finish, entries))

    def _take(self) -> list[_Entry[Item, Result]]:
        """Return the entries of the next batch; callers that left or waited too long are not in it."""
        now = asyncio.get_running_loop().time()
        entries: list[_Entry[Item, Result]] = []
        room = self._settings.max_size
        while self._queue and (len(self._queue[0].items) <= room or not entries):
            entry = self._queue.popleft()
            self._queued -= len(entry.items)
            if entry.future.done():
                continue
            if now > entry.deadline:
                entry.future.set_exception(_too_late())
                continue
            entries.append(entry)
            room -= len(entry.items)
        return entries

    def _expire_at(self, time: float) -> None:
        # One timer for the whole queue: it matters only while every slot is held by a batch that takes long.
        if self._expiry is None or time < self._expiry.when():
            if self._expiry is not None:
                self._expiry.cancel()
            self._expiry = asyncio.get_running_loop().call_at(time, self._expire)

    def _expire(self) -> None:
        """Answer the callers who waited too long, and forget those who left."""
        self._expiry = None
        now = asyncio.get_running_loop().time()
        waiting = deque(entry for entry in self._queue if not entry.future.done() and now < entry.deadline)
        for entry in self._queue:
            if not entry.future.done() and now >= entry.deadline:
                entry.future.set_exception(_too_late())
        self._queue = waiting
        self._queued = sum(len(entry.items) for entry in waiting)
        if waiting:
            self._expire_at(max(min(entry.deadline for entry in waiting), now + EXPIRY_STEP_S))

    def _finish(self, entries: list[_Entry[Item, Result]], task: "asyncio.Future[Result]") -> None:
        self._running.discard(task)
        error: BaseException | None
        error = Overloaded("the replica is going down; retry") if task.cancelled() else task.exception()
        start = 0
        for entry in entries:
            share = Share(start, start + len(entry.items))
            start = share.stop
            if entry.future.done():
                continue
            if error is None:
                entry.future.set_result((task.result(), share))
            else:
                entry.future.set_exception(error)
        self._schedule()


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("waited too long for a slot; retry after a pause")
