"""What always holds of the micro-batcher, whatever callers, clients, time and bounds do."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.batcher import MicroBatcher, Share
from deployments.settings import BatchSettings
from features.errors import DeadlineExceeded, Overloaded, TollgateError
from tests.unit.deployments.batches import LONG_S, Account, Batcher, Call, Numbers, Processor, bounds, own, settle


@dataclass
class Caller:
    """One caller, and the client behind it."""

    numbers: Numbers
    bulk: bool
    max_wait_s: float
    submitted: bool = False
    has_gone: bool = False
    batches_before_it_went: int | None = None
    call: Call | None = None

    async def submit(self, batches: Batcher) -> tuple[Numbers, Share]:
        self.submitted = True
        return await batches.submit(
            self.numbers, len(self.numbers), self.max_wait_s, self.bulk, gone=lambda: self.has_gone
        )

    def goes(self, begun: int) -> None:
        if not self.has_gone:
            self.has_gone, self.batches_before_it_went = True, begun

    def result(self) -> Call:
        assert self.call is not None
        return self.call


@dataclass
class World:
    """A batcher with all that surrounds it."""

    settings: BatchSettings
    now: list[float]
    processor: Processor = field(default_factory=Processor)
    account: Account = field(default_factory=Account)
    callers: list[Caller] = field(default_factory=list)
    numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.batches: Batcher = MicroBatcher(self.processor, self.settings, self.account)
        self.seen = [self.settings]

    async def submit(self, weight: int, bulk: bool, max_wait_s: float) -> None:
        caller = Caller([next(self.numbers) for _ in range(weight)], bulk, max_wait_s)
        caller.call = asyncio.create_task(caller.submit(self.batches))
        self.callers.append(caller)

    async def cancel(self, which: int) -> None:
        if self.callers:
            self.callers[which % len(self.callers)].result().cancel()

    async def vanish(self, which: int) -> None:
        if self.callers:
            self.callers[which % len(self.callers)].goes(len(self.account.began_with))

    async def end(self, which: int, fails: bool) -> None:
        if held := self.processor.held():
            batch = held[which % len(held)]
            await self.processor.release(batch, TollgateError(f"batch {batch}") if fails else None)

    async def pass_time(self, seconds: float) -> None:
        self.now[0] += seconds

    async def reconfigure(self, settings: BatchSettings) -> None:
        self.batches.reconfigure(settings)
        self.seen.append(settings)

    async def turn(self) -> None:
        await asyncio.sleep(0)

    async def finish(self) -> None:
        await settle()
        while self.processor.held():
            await self.end(0, False)


Step = tuple[Callable[..., Any], tuple[Any, ...]]


def step(happens: Callable[..., Any], *arguments: "st.SearchStrategy[Any]") -> "st.SearchStrategy[Step]":
    return st.tuples(st.just(happens), st.tuples(*arguments))


some_bounds = st.builds(
    bounds,
    st.integers(3, 8),
    st.integers(1, 3),
    st.integers(8, 30),
    st.floats(0.01, 0.99),
)
arrival = step(World.submit, st.integers(1, 3), st.booleans(), st.sampled_from([1.0, 3.0, LONG_S]))
steps = st.lists(
    st.one_of(
        arrival,
        arrival,
        step(World.cancel, st.integers(0, 30)),
        step(World.vanish, st.integers(0, 30)),
        step(World.end, st.integers(0, 10), st.booleans()),
        step(World.pass_time, st.sampled_from([0.5, 1.0, 2.5])),
        step(World.reconfigure, some_bounds),
        # Without a turn of the loop between them, arrivals come together.
        step(World.turn),
    ),
    max_size=50,
)


@given(some_bounds, steps)
async def test_every_item_is_answered_once_with_its_own_result_or_a_reason(
    first: BatchSettings, happenings: list[Step]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        now = [1000.0]
        patch.setattr(asyncio.BaseEventLoop, "time", lambda _: now[0])
        world = World(first, now)
        for happens, arguments in happenings:
            await happens(world, *arguments)
        await world.finish()
    each_is_computed_once_and_in_the_order_of_its_lane(world)
    the_bounds_were_kept(world)
    the_account_adds_up(world)
    for caller in world.callers:
        is_answered(caller, world.processor.begun)


def each_is_computed_once_and_in_the_order_of_its_lane(world: World) -> None:
    computed = [number for batch in world.processor.begun for number in batch]
    assert len(computed) == len(set(computed))
    for bulk in (False, True):
        lane = {number for caller in world.callers if caller.bulk is bulk for number in caller.numbers}
        of_lane = [number for number in computed if number in lane]
        assert of_lane == sorted(of_lane)


def the_bounds_were_kept(world: World) -> None:
    assert max(map(len, world.processor.begun), default=0) <= max(settings.max_size for settings in world.seen)
    assert world.processor.most_at_once <= max(settings.slots for settings in world.seen)
    assert (world.batches.queued, world.batches.running) == (0, 0)
    # In each of the two lanes.
    most_queued = 2 * max(settings.max_queue for settings in world.seen)
    assert all(queued <= most_queued for _, _, queued in world.account.began_with)


def the_account_adds_up(world: World) -> None:
    submitted = sum(len(caller.numbers) for caller in world.callers if caller.submitted)
    assert sum(world.account.sizes) + sum(world.account.lost.values()) == submitted
    assert world.account.lost.keys() <= {"refused", "expired", "abandoned"}
    assert world.account.sizes == [len(batch) for batch in world.processor.begun]
    assert len(world.account.ended_with) == len(world.account.began_with)
    assert all(waited_s >= 0 for _, waited_s, _ in world.account.began_with)
    refused = sum(
        len(caller.numbers)
        for caller in world.callers
        if not caller.result().cancelled() and isinstance(caller.result().exception(), Overloaded)
    )
    assert world.account.lost["refused"] == refused


def is_answered(caller: Caller, begun: list[Numbers]) -> None:
    """A caller has the own result, or a reason that is true."""
    of = [number for number, batch in enumerate(begun) if set(caller.numbers) & set(batch)]
    call = caller.result()
    assert call.done()
    if of and caller.batches_before_it_went is not None:
        assert of[0] < caller.batches_before_it_went
    if call.cancelled():
        return
    error = call.exception()
    if error is None:
        assert own(call) == caller.numbers
    elif isinstance(error, Overloaded | DeadlineExceeded):
        assert not of
        assert isinstance(error, Overloaded) or caller.has_gone or caller.max_wait_s < LONG_S
    else:
        assert set(caller.numbers) <= set(begun[int(str(error).removeprefix("batch "))])
