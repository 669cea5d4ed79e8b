"""The micro-batcher: greedy, bounded, k slots; every caller gets exactly the own result."""

import asyncio

import pytest

from features.errors import Overloaded, TollgateError
from tests.unit.deployments.batches import LONG_S, Account, Processor, batcher, bounds, call, own, settle


async def test_a_lone_item_starts_at_once() -> None:
    processor = Processor()
    caller = call(batcher(processor, bounds(slots=2)), [7])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert processor.begun == [[7]]
    await processor.release(0)
    assert own(caller) == [7]


async def test_what_arrives_in_one_turn_of_the_loop_travels_together() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=6))
    groups = [[1, 2], [3, 4], [5], [6]]
    callers = [call(batches, group, bulk=group == [3, 4]) for group in groups]
    await settle()
    assert processor.begun == [[1, 2, 5, 6, 3, 4]]
    await processor.release(0)
    assert [own(caller) for caller in callers] == groups


async def test_while_all_slots_are_busy_the_rest_gathers_and_goes_out_together_up_to_the_bound() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=4, slots=2))
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
    batches = batcher(processor, bounds(size=64, slots=2))
    for item in (1, 2):
        call(batches, [item])
        await settle()
    assert processor.begun == [[1], [2]]


async def test_the_items_of_one_caller_are_never_split() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=4))
    call(batches, [0])
    await settle()
    callers = [call(batches, items) for items in ([1, 2, 3], [4, 5], [6, 7, 8, 9])]
    for batch in range(4):
        await settle()
        await processor.release(batch)
    assert processor.begun[1:] == [[1, 2, 3], [4, 5], [6, 7, 8, 9]]
    assert [own(caller) for caller in callers] == [[1, 2, 3], [4, 5], [6, 7, 8, 9]]


@pytest.mark.parametrize("weight", [-1, 0])
async def test_an_item_of_nothing_is_an_error_of_the_caller(weight: int) -> None:
    batches = batcher(Processor(), bounds(size=4))
    caller = asyncio.create_task(batches.submit([1], weight, LONG_S))
    await settle()
    with pytest.raises(ValueError, match="at least one transaction"):
        caller.result()
    assert batches.queued == 0


async def test_what_was_cut_for_larger_batches_travels_alone() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=4))
    callers = [call(batches, [0]), call(batches, [*range(1, 7)]), call(batches, [7])]
    for batch in range(3):
        await settle()
        await processor.release(batch)
    assert processor.begun == [[0], [*range(1, 7)], [7]]
    assert [own(caller) for caller in callers] == [[0], [*range(1, 7)], [7]]


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_full_lane_refuses_at_once_and_computes_nothing_of_it(bulk: bool) -> None:
    processor, account = Processor(), Account()
    batches = batcher(processor, bounds(size=2, queue=3), account)
    call(batches, [0])
    await settle()
    waiting = [call(batches, [1, 2], bulk=bulk), call(batches, [3], bulk=bulk)]
    await settle()
    refused = call(batches, [4], bulk=bulk)
    await settle()
    assert isinstance(refused.exception(), Overloaded)
    assert account.lost == {"refused": 1}
    for batch in range(3):
        await processor.release(batch)
    assert processor.begun == [[0], [1, 2], [3]]
    assert [own(caller) for caller in waiting] == [[1, 2], [3]]


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_lane_takes_just_what_it_holds(bulk: bool) -> None:
    batches = batcher(Processor(), bounds(size=2, queue=3))
    call(batches, [0])
    await settle()
    fits, too_large, fits_as_well = (call(batches, group, bulk=bulk) for group in ([1, 2], [3, 4], [5]))
    await settle()
    assert [caller.done() for caller in (fits, too_large, fits_as_well)] == [False, True, False]
    assert isinstance(too_large.exception(), Overloaded)
    assert batches.queued == 3


async def test_after_it_drained_a_full_queue_takes_items_again() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=2, queue=2))
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


async def test_an_error_reaches_the_callers_of_its_batch_alone_and_the_batcher_goes_on() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=2))
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
    batches = batcher(processor, bounds(size=4, slots=1))
    call(batches, [0])
    await settle()
    for item in range(1, 7):
        call(batches, [item])
    await settle()
    batches.reconfigure(bounds(size=2, slots=3))
    await settle()
    assert processor.begun == [[0], [1, 2], [3, 4]]
    assert batches.running == 3


async def test_a_larger_size_holds_for_what_waits_already() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=1))
    for item in range(5):
        call(batches, [item])
        await settle()
    batches.reconfigure(bounds(size=10))
    await processor.release(0)
    assert processor.begun == [[0], [1, 2, 3, 4]]


async def test_fewer_slots_hold_once_the_batches_under_way_have_ended() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=1, slots=3))
    for item in range(6):
        call(batches, [item])
        await settle()
    batches.reconfigure(bounds(size=1, slots=1))
    await processor.release(0)
    await processor.release(1)
    assert len(processor.begun) == 3
    await processor.release(2)
    assert processor.begun[3:] == [[3]]


async def test_a_group_that_waits_and_is_larger_than_the_new_size_still_goes_out_whole_and_alone() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=4))
    call(batches, [0])
    await settle()
    large, small = call(batches, [1, 2, 3, 4]), call(batches, [5])
    await settle()
    batches.reconfigure(bounds(size=2))
    for batch in range(3):
        await processor.release(batch)
    assert processor.begun == [[0], [1, 2, 3, 4], [5]]
    assert own(large) == [1, 2, 3, 4]
    assert own(small) == [5]


def test_it_can_be_configured_before_there_is_a_loop() -> None:
    batcher(Processor()).reconfigure(bounds(size=1))


async def test_the_observer_hears_size_wait_and_queue_of_each_batch_and_how_it_ended(clock: list[float]) -> None:
    processor, account = Processor(), Account()
    batches = batcher(processor, bounds(size=4), account)
    call(batches, [0])
    await settle()
    call(batches, [1])
    await settle()
    clock[0] += 0.5
    call(batches, [2, 3], bulk=True)
    call(batches, [4, 5, 6], bulk=True)
    await settle()
    clock[0] += 0.25
    await processor.release(0)
    assert account.began_with == [(1, 0.0, 0), (3, 0.75, 3)]
    assert account.ended_with == [(0.75, False)]
    clock[0] += 2
    await processor.release(1, TollgateError("broken"))
    assert account.ended_with == [(0.75, False), (2.0, True)]
    assert account.began_with[2:] == [(3, 2.25, 0)]
    assert not account.lost


async def test_a_batch_that_is_cancelled_has_failed_to_the_observer() -> None:
    processor, account = Processor(), Account()
    call(batcher(processor, observer=account), [1])
    await settle()
    processor.gates[0].cancel()
    await settle()
    assert [failed for _, failed in account.ended_with] == [True]
