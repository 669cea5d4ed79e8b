"""The micro-batcher: greedy, bounded, k slots; every caller gets exactly the own result."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.batcher import MicroBatcher, Share
from deployments.settings import BatchSettings
from features.errors import DeadlineExceeded, Overloaded, TollgateError

LONG_S = 1000.0
Batch = list[int]


@dataclass
class Processor:
    """Computes nothing; holds each batch until the test lets it go. The result of a batch is the batch."""

    begun: list[Batch] = field(default_factory=list)
    gates: list["asyncio.Future[None]"] = field(default_factory=list)
    most_at_once: int = 0
    under_way: int = 0

    async def __call__(self, items: Batch) -> Batch:
        self.begun.append(items)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        try:
            await gate
        finally:
            self.under_way -= 1
        return list(items)

    async def release(self, batch: int, error: Exception | None = None) -> None:
        """Let the batch with this number end, and give what follows from it time to happen."""
        if error is None:
            self.gates[batch].set_result(None)
        else:
            self.gates[batch].set_exception(error)
        await settle()


async def settle() -> None:
    """Let everything happen that can happen without the outside world."""
    for _ in range(10):
        await asyncio.sleep(0)


def batcher(processor: Processor, size: int = 4, slots: int = 1, queue: int = 100) -> MicroBatcher[int, Batch]:
    return MicroBatcher(processor, settings(size, slots, queue))


def settings(size: int = 4, slots: int = 1, queue: int = 100) -> BatchSettings:
    return BatchSettings(max_size=size, slots=slots, max_queue=queue)


Call = asyncio.Task[tuple[Batch, Share]]


def call(batcher: MicroBatcher[int, Batch], items: Sequence[int], max_wait_s: float = LONG_S) -> Call:
    return asyncio.create_task(batcher.submit(items, max_wait_s))


def own(call: Call) -> Batch:
    """Return what of the batch's result belongs to the caller."""
    result, share = call.result()
    return result[share.start : share.stop]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the running loop, in seconds, in a list of one; a test moves it by hand."""
    now = [1000.0]
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _: now[0])
    return now


async def test_a_lone_item_starts_at_once() -> None:
    processor = Processor()
    caller = call(batcher(processor, slots=2), [7])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert processor.begun == [[7]]
    await processor.release(0)
    assert own(caller) == [7]


async def test_what_arrives_in_one_turn_of_the_loop_travels_together() -> None:
    processor = Processor()
    callers = [call(batcher_, [item]) for batcher_ in [batcher(processor)] for item in (1, 2, 3)]
    await settle()
    assert processor.begun == [[1, 2, 3]]
    await processor.release(0)
    assert [own(caller) for caller in callers] == [[1], [2], [3]]


async def test_while_all_slots_are_busy_the_rest_gathers_and_goes_out_together_up_to_the_bound() -> None:
    processor = Processor()
    batches = batcher(processor, size=4, slots=2)
    for item in (1, 2):
        call(batches, [item])
        await settle()
    for item in range(3, 9):
        call(batches, [item])
        await settle()
    assert processor.begun == [[1], [2]]
    assert (batches.running, batches.queued) == (2, 6)
    await processor.release(1)
    assert processor.begun[2:] == [[3, 4, 5, 6]]
    assert (batches.running, batches.queued) == (2, 2)
    await processor.release(0)
    assert processor.begun[3:] == [[7, 8]]


async def test_a_free_slot_never_waits_for_a_full_batch() -> None:
    processor = Processor()
    batches = batcher(processor, size=64, slots=2)
    for item in (1, 2):
        call(batches, [item])
        await settle()
    assert processor.begun == [[1], [2]]


async def test_the_items_of_one_caller_are_never_split() -> None:
    processor = Processor()
    batches = batcher(processor, size=4)
    call(batches, [0])
    await settle()
    callers = [call(batches, items) for items in ([1, 2, 3], [4, 5], [6, 7, 8, 9])]
    for batch in range(4):
        await settle()
        await processor.release(batch)
    assert processor.begun[1:] == [[1, 2, 3], [4, 5], [6, 7, 8, 9]]
    assert [own(caller) for caller in callers] == [[1, 2, 3], [4, 5], [6, 7, 8, 9]]


@pytest.mark.parametrize("items", [[], [1, 2, 3, 4, 5]])
async def test_a_group_that_no_batch_can_hold_is_an_error_of_the_caller(items: list[int]) -> None:
    with pytest.raises(ValueError, match="1 to 4 items"):
        await batcher(Processor(), size=4).submit(items, LONG_S)


async def test_a_full_queue_refuses_at_once_and_computes_nothing_of_it() -> None:
    processor = Processor()
    batches = batcher(processor, size=2, queue=3)
    call(batches, [0])
    await settle()
    waiting = [call(batches, [1, 2]), call(batches, [3])]
    await settle()
    with pytest.raises(Overloaded):
        await batches.submit([4], LONG_S)
    for batch in range(3):
        await processor.release(batch)
    assert processor.begun == [[0], [1, 2], [3]]
    assert [own(caller) for caller in waiting] == [[1, 2], [3]]


async def test_after_it_drained_a_full_queue_takes_items_again() -> None:
    processor = Processor()
    batches = batcher(processor, size=2, queue=2)
    call(batches, [0])
    await settle()
    call(batches, [1, 2])
    await settle()
    await processor.release(0)
    late = call(batches, [3])
    await settle()
    await processor.release(1)
    await processor.release(2)
    assert own(late) == [3]


async def test_who_waits_too_long_is_told_so_although_no_slot_becomes_free(clock: list[float]) -> None:
    processor = Processor()
    batches = batcher(processor)
    running = call(batches, [0])
    await settle()
    late, patient = call(batches, [1], max_wait_s=1.0), call(batches, [2], max_wait_s=5.0)
    await settle()
    clock[0] += 1.1
    await settle()
    assert isinstance(late.exception(), DeadlineExceeded)
    assert batches.queued == 1
    clock[0] += 3
    await settle()
    assert not patient.done()
    await processor.release(0)
    await processor.release(1)
    assert processor.begun == [[0], [2]]
    assert own(patient) == [2]
    assert own(running) == [0]


async def test_whose_time_passed_while_the_loop_was_busy_is_not_computed(clock: list[float]) -> None:
    processor = Processor()
    caller = call(batcher(processor), [1], max_wait_s=1.0)
    await asyncio.sleep(0)
    clock[0] += 2
    await settle()
    assert isinstance(caller.exception(), DeadlineExceeded)
    assert processor.begun == []


async def test_a_shorter_wait_behind_a_longer_one_ends_first(clock: list[float]) -> None:
    processor = Processor()
    batches = batcher(processor)
    call(batches, [0])
    await settle()
    patient, hasty = call(batches, [1], max_wait_s=5.0), call(batches, [2], max_wait_s=1.0)
    await settle()
    clock[0] += 1.1
    await settle()
    assert isinstance(hasty.exception(), DeadlineExceeded)
    assert not patient.done()
    clock[0] += 4
    await settle()
    assert isinstance(patient.exception(), DeadlineExceeded)
    assert batches.queued == 0


async def test_the_deadline_bounds_the_wait_and_not_the_computation(clock: list[float]) -> None:
    processor = Processor()
    caller = call(batcher(processor), [1], max_wait_s=1.0)
    await settle()
    clock[0] += 100
    await settle()
    assert not caller.done()
    await processor.release(0)
    assert own(caller) == [1]


async def test_what_a_caller_who_left_had_submitted_is_not_computed() -> None:
    processor = Processor()
    batches = batcher(processor)
    call(batches, [0])
    await settle()
    gone, stays = call(batches, [1, 2]), call(batches, [3])
    await settle()
    gone.cancel()
    await settle()
    await processor.release(0)
    await processor.release(1)
    assert processor.begun == [[0], [3]]
    assert own(stays) == [3]
    assert gone.cancelled()


async def test_a_caller_who_leaves_a_running_batch_does_not_harm_the_others_in_it() -> None:
    processor = Processor()
    batches = batcher(processor)
    gone, stays = call(batches, [1]), call(batches, [2])
    await settle()
    gone.cancel()
    await settle()
    await processor.release(0)
    assert own(stays) == [2]


async def test_what_callers_who_left_had_queued_does_not_fill_the_queue_for_ever(clock: list[float]) -> None:
    batches = batcher(Processor(), size=2, queue=2)
    call(batches, [0])
    await settle()
    call(batches, [1, 2], max_wait_s=1.0).cancel()
    gone = call(batches, [3, 4], max_wait_s=1.0)
    await settle()
    gone.cancel()
    clock[0] += 1.1
    await settle()
    assert batches.queued == 0


async def test_an_error_reaches_the_callers_of_its_batch_alone_and_the_batcher_goes_on() -> None:
    processor = Processor()
    batches = batcher(processor, size=2)
    harmed = [call(batches, [1]), call(batches, [2])]
    await settle()
    spared = [call(batches, [3]), call(batches, [4])]
    await processor.release(0, TollgateError("broken"))
    await processor.release(1)
    assert [str(caller.exception()) for caller in harmed] == ["broken", "broken"]
    assert [own(caller) for caller in spared] == [[3], [4]]


async def test_a_batch_that_is_cancelled_from_outside_is_an_overload_to_its_callers() -> None:
    processor = Processor()
    batches = batcher(processor)
    caller = call(batches, [1])
    await settle()
    processor.gates[0].cancel()
    await settle()
    assert isinstance(caller.exception(), Overloaded)
    assert batches.running == 0


async def test_a_smaller_size_holds_from_the_next_batch_on_and_more_slots_at_once() -> None:
    processor = Processor()
    batches = batcher(processor, size=4, slots=1)
    call(batches, [0])
    await settle()
    for item in range(1, 7):
        call(batches, [item])
    await settle()
    batches.reconfigure(settings(size=2, slots=3))
    await settle()
    assert processor.begun == [[0], [1, 2], [3, 4]]
    assert batches.running == 3


async def test_a_larger_size_holds_for_what_waits_already() -> None:
    processor = Processor()
    batches = batcher(processor, size=1)
    for item in range(5):
        call(batches, [item])
        await settle()
    batches.reconfigure(settings(size=10))
    await processor.release(0)
    assert processor.begun == [[0], [1, 2, 3, 4]]


async def test_fewer_slots_hold_once_the_batches_under_way_have_ended() -> None:
    processor = Processor()
    batches = batcher(processor, size=1, slots=3)
    for item in range(6):
        call(batches, [item])
        await settle()
    batches.reconfigure(settings(size=1, slots=1))
    await processor.release(0)
    await processor.release(1)
    assert len(processor.begun) == 3
    await processor.release(2)
    assert processor.begun[3:] == [[3]]


async def test_a_group_that_waits_and_is_larger_than_the_new_size_still_goes_out_whole_and_alone() -> None:
    processor = Processor()
    batches = batcher(processor, size=4)
    call(batches, [0])
    await settle()
    large, small = call(batches, [1, 2, 3, 4]), call(batches, [5])
    await settle()
    batches.reconfigure(settings(size=2))
    for batch in range(3):
        await processor.release(batch)
    assert processor.begun == [[0], [1, 2, 3, 4], [5]]
    assert own(large) == [1, 2, 3, 4]
    assert own(small) == [5]


def test_it_can_be_configured_before_there_is_a_loop() -> None:
    batcher(Processor()).reconfigure(settings(size=1))


@dataclass(frozen=True)
class Step:
    """Something that happens: a caller submits a group, leaves, a batch ends (or fails), or new bounds come."""

    submit: int = 0
    leave: int | None = None
    end: int | None = None
    fails: bool = False
    bounds: BatchSettings | None = None


bounds = st.builds(settings, st.integers(3, 8), st.integers(1, 3), st.integers(8, 30))
steps = st.lists(
    st.one_of(
        st.builds(Step, submit=st.integers(1, 3)),
        st.builds(Step, leave=st.integers(0, 30)),
        st.builds(Step, end=st.integers(0, 10), fails=st.booleans()),
        st.builds(Step, bounds=bounds),
    ),
    max_size=40,
)


@given(bounds, steps)
async def test_every_item_is_answered_once_with_its_own_result_or_a_reason(
    first: BatchSettings, happenings: list[Step]
) -> None:
    processor = Processor()
    batches = MicroBatcher(processor, first)
    numbers = count()
    callers: list[tuple[list[int], Call]] = []
    sizes, slots = [first.max_size], [first.slots]

    async def end(batch: int, fails: bool = False) -> None:
        await processor.release(batch, TollgateError(f"batch {batch}") if fails else None)

    for step in happenings:
        if step.submit:
            items = [next(numbers) for _ in range(step.submit)]
            callers.append((items, call(batches, items)))
        elif step.leave is not None and callers:
            callers[step.leave % len(callers)][1].cancel()
        elif step.end is not None and (held := [n for n, gate in enumerate(processor.gates) if not gate.done()]):
            await end(held[step.end % len(held)], step.fails)
        elif step.bounds is not None:
            batches.reconfigure(step.bounds)
            sizes.append(step.bounds.max_size)
            slots.append(step.bounds.slots)
        if step.end is None:
            # Half of the arrivals come in one turn of the loop, the others one by one.
            await asyncio.sleep(0)
    await settle()
    while held := [n for n, gate in enumerate(processor.gates) if not gate.done()]:
        await end(held[0])

    computed = [item for batch in processor.begun for item in batch]
    assert len(computed) == len(set(computed))
    assert computed == sorted(computed)
    assert all(len(batch) <= max(sizes) for batch in processor.begun)
    assert processor.most_at_once <= max(slots)
    assert (batches.queued, batches.running) == (0, 0)
    for items, caller in callers:
        assert caller.done()
        if caller.cancelled():
            continue
        error = caller.exception()
        if error is None:
            assert own(caller) == items
        elif isinstance(error, Overloaded):
            assert not set(items) & set(computed)
        else:
            assert set(items) <= set(processor.begun[int(str(error).removeprefix("batch "))])
