"""The micro-batcher: greedy, bounded, with k slots and two lanes.

Take everything that waits, up to a bound, the moment a slot is free; never wait on a timer while a slot is
idle. Under light load a batch is one transaction and waits for nothing; under heavy load batches grow by
themselves, because more arrives while the slots are busy.

Single transactions and the chunks of bulk requests wait in lanes of their own. While both wait, the lanes share
the batches by weight (start-time fair queueing, Goyal et al. 1996), so that neither starves the other.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from deployments.lane import Entry, Lane
from deployments.settings import BatchSettings
from features.errors import DeadlineExceeded, Overloaded

Item = TypeVar("Item")
Result = TypeVar("Result")

EXPIRY_STEP_S: Final = 0.01
"""Shortest pause between two searches of the queue for items whose time is over."""


@dataclass(frozen=True, slots=True)
class Share:
    """Where the transactions of one caller lie in the result of the batch that they travelled in."""

    start: int
    stop: int


class Observer(Protocol):
    """Hears what the batcher does; called once a batch, or once a caller who gets no result."""

    def began(self, size: int, waited_s: float, queued: int) -> None:
        """A batch of so many transactions went out; its oldest had waited so long; so many wait still."""

    def ended(self, took_s: float, failed: bool) -> None:
        """A batch is computed, or failed."""

    def waiting(self, queued: int) -> None:
        """So many transactions wait, after some of them expired or were abandoned."""

    def dropped(self, why: str, weight: int) -> None:
        """So many transactions are not computed: they were refused, expired, or abandoned by their client."""


def stays() -> bool:
    """Return that the client has not gone: the answer of one who cannot know."""
    return False


class MicroBatcher(Generic[Item, Result]):
    """Joins the items of concurrent callers into batches for one coroutine function.

    Args:
        process: computes a batch; what it raises reaches every caller of that batch.
        settings: bounds; :meth:`reconfigure` changes them in place.
        observer: hears what happens.

    An item weighs as many transactions as it holds. Items of one lane are served in order of arrival.
    """

    def __init__(
        self, process: Callable[[list[Item]], Awaitable[Result]], settings: BatchSettings, observer: Observer
    ) -> None:
        self._process = process
        self._observer = observer
        self._single: Lane[Item, tuple[Result, Share]] = Lane()
        self._bulk: Lane[Item, tuple[Result, Share]] = Lane()
        self._pump_scheduled = False
        self._expiry: asyncio.Handle | None = None
        self._expires_at = math.inf
        self._running: set[asyncio.Future[Result]] = set()
        self.reconfigure(settings)

    def reconfigure(self, settings: BatchSettings) -> None:
        """Take new bounds from the next batch on; what waits stays."""
        self._settings = settings
        self._single.share = settings.single_share
        self._bulk.share = 1 - settings.single_share
        if self.queued:
            self._schedule()

    @property
    def queued(self) -> int:
        """Transactions that wait for a slot."""
        return self._single.weight + self._bulk.weight

    @property
    def running(self) -> int:
        """Batches under way."""
        return len(self._running)

    async def submit(
        self,
        item: Item,
        weight: int,
        max_wait_s: float,
        bulk: bool = False,
        gone: Callable[[], bool] = stays,
    ) -> tuple[Result, Share]:
        """Return the result of the batch that carried the item, and the item's share of it.

        Args:
            item: travels whole, in one batch.
            weight: transactions that it holds; one of more than ``max_size``, which was cut when batches were
                larger, travels alone.
            max_wait_s: bound on the wait for a slot, not on the computation.
            bulk: whether it waits in the lane of bulk requests.
            gone: whether the client has left; asked when the item's turn has come.

        Raises:
            ValueError: it holds none.
            Overloaded: the lane is full; at once, nothing was computed.
            DeadlineExceeded: the item waited too long, or its client left; nothing was computed.
        """
        if weight < 1:
            raise ValueError(f"an item holds at least one transaction, not {weight}")
        lane, bound = (
            (self._bulk, self._settings.max_bulk_queue) if bulk else (self._single, self._settings.max_queue)
        )
        if lane.weight + weight > bound:
            self._observer.dropped("refused", weight)
            raise Overloaded(f"{lane.weight} transactions wait already; retry after a pause")
        loop = asyncio.get_running_loop()
        now = loop.time()
        entry: Entry[Item, tuple[Result, Share]] = Entry(
            item, weight, now, now + max_wait_s, gone, loop.create_future()
        )
        lane.append(entry, self._bulk if lane is self._single else self._single)
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
        while self.queued and len(self._running) < self._settings.slots:
            now = asyncio.get_running_loop().time()
            entries = self._take(now)
            if entries:
                size = sum(entry.weight for entry in entries)
                self._observer.began(size, now - min(entry.arrived for entry in entries), self.queued)
                task = asyncio.ensure_future(self._process([entry.item for entry in entries]))
                self._running.add(task)
                task.add_done_callback(partial(self._finish, entries, now))

    def _take(self, now: float) -> list[Entry[Item, tuple[Result, Share]]]:
        """Return the entries of the next batch: of the lane whose turn it is, then of the other, as room is."""
        entries: list[Entry[Item, tuple[Result, Share]]] = []
        room = self._settings.max_size
        first, second = sorted((self._single, self._bulk), key=lambda lane: lane.served)
        for lane in (first, second):
            while (entry := lane.pop(room, alone=not entries)) is not None:
                if self._is_alive(entry, now):
                    entries.append(entry)
                    lane.serve(entry.weight)
                    room -= entry.weight
        # What the second took was room that the first had left over: it owes a batch for it at most.
        second.owe_at_most(first.served + self._settings.max_size / second.share)
        return entries

    def _is_alive(self, entry: Entry[Item, tuple[Result, Share]], now: float) -> bool:
        """Return whether an entry is to be computed; when not, its caller is answered."""
        if entry.future.done():
            self._observer.dropped("abandoned", entry.weight)
            return False
        if now >= entry.deadline or entry.gone():
            self._observer.dropped("expired" if now >= entry.deadline else "abandoned", entry.weight)
            entry.future.set_exception(DeadlineExceeded("waited too long for a slot; retry after a pause"))
            return False
        return True

    def _expire_at(self, time: float) -> None:
        # One timer for the whole queue: it matters only while every slot is held by a batch that takes long.
        # When it is due is kept here: for a time that has come, uvloop gives a handle that does not know.
        if time < self._expires_at:
            if self._expiry is not None:
                self._expiry.cancel()
            self._expires_at = time
            self._expiry = asyncio.get_running_loop().call_at(time, self._expire)

    def _expire(self) -> None:
        """Answer the callers who waited too long, and forget those who left."""
        self._expiry, self._expires_at = None, math.inf
        now = asyncio.get_running_loop().time()
        for lane in (self._single, self._bulk):
            lane.keep(partial(self._is_alive, now=now))
        self._observer.waiting(self.queued)
        deadlines = [lane.first_deadline() for lane in (self._single, self._bulk) if lane.weight]
        if deadlines:
            self._expire_at(max(min(deadlines), now + EXPIRY_STEP_S))

    def _finish(
        self, entries: list[Entry[Item, tuple[Result, Share]]], began: float, task: "asyncio.Future[Result]"
    ) -> None:
        self._running.discard(task)
        error: BaseException | None
        error = Overloaded("the replica is going down; retry") if task.cancelled() else task.exception()
        self._observer.ended(asyncio.get_running_loop().time() - began, error is not None)
        start = 0
        for entry in entries:
            share = Share(start, start + entry.weight)
            start = share.stop
            if entry.future.done():
                continue
            if error is None:
                entry.future.set_result((task.result(), share))
            else:
                entry.future.set_exception(error)
        self._schedule()
