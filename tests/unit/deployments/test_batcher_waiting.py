"""Who waits too long, or leaves: told so, or forgotten, but not computed; and nobody else is harmed."""

import asyncio

import pytest
import uvloop

from features.errors import DeadlineExceeded
from tests.unit.deployments.batches import Account, Processor, batcher, bounds, call, own, settle


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
    batches = batcher(Processor(), bounds(size=2, queue=2))
    call(batches, [0])
    await settle()
    call(batches, [1, 2], max_wait_s=1.0).cancel()
    gone = call(batches, [3, 4], max_wait_s=1.0)
    await settle()
    gone.cancel()
    clock[0] += 1.1
    await settle()
    assert batches.queued == 0


async def test_a_time_that_is_over_to_the_moment_is_over(clock: list[float]) -> None:
    processor, account = Processor(), Account()
    caller = call(batcher(processor, observer=account), [1, 2], max_wait_s=1.0)
    await asyncio.sleep(0)
    clock[0] += 1.0
    await settle()
    assert isinstance(caller.exception(), DeadlineExceeded)
    assert (processor.begun, account.lost) == ([], {"expired": 2})


@pytest.mark.parametrize("bulk", [False, True])
async def test_whose_client_has_gone_when_its_turn_comes_is_not_computed(bulk: bool) -> None:
    processor, account = Processor(), Account()
    batches = batcher(processor, bounds(size=4), account)
    call(batches, [0])
    await settle()
    left: list[bool] = []
    leaves = call(batches, [1, 2], bulk=bulk, gone=lambda: bool(left))
    waits = call(batches, [3], bulk=bulk, gone=lambda: False)
    await settle()
    assert not leaves.done()
    left.append(True)
    await processor.release(0)
    assert processor.begun == [[0], [3]]
    assert isinstance(leaves.exception(), DeadlineExceeded)
    assert account.lost == {"abandoned": 2}
    await processor.release(1)
    assert own(waits) == [3]


async def test_whether_a_client_has_gone_is_asked_at_its_turn_and_not_before() -> None:
    asked: list[int] = []

    def gone_for(number: int) -> bool:
        asked.append(number)
        return False

    processor = Processor()
    batches = batcher(processor, bounds(size=1))
    for number in range(3):
        call(batches, [number], gone=lambda number=number: gone_for(number))
        await settle()
    assert asked == [0]
    await processor.release(0)
    assert asked == [0, 1]


async def test_the_place_of_a_client_who_has_gone_is_taken_by_those_behind() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=3))
    call(batches, [0])
    await settle()
    call(batches, [1, 2, 3], gone=lambda: True)
    for number in (4, 5, 6):
        call(batches, [number])
    await settle()
    await processor.release(0)
    assert processor.begun == [[0], [4, 5, 6]]


async def test_each_is_told_at_the_own_time_whatever_the_order_and_the_lane(clock: list[float]) -> None:
    batches = batcher(Processor())
    call(batches, [0])
    await settle()
    waits = {
        max_wait_s: call(batches, [0], max_wait_s, bulk)
        for max_wait_s, bulk in ((9.0, False), (1.0, False), (5.0, False), (7.0, True), (3.0, True), (11.0, True))
    }
    await settle()
    for passed in range(1, 12):
        clock[0] += 1
        await settle()
        assert {wait for wait, caller in waits.items() if caller.done()} == {w for w in waits if w <= passed}


async def test_a_queue_of_nobody_but_clients_who_have_gone_begins_no_batch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    processor, account = Processor(), Account()
    batches = batcher(processor, observer=account)
    leave = [call(batches, [1, 2, 3], gone=lambda: True, bulk=bulk) for bulk in (False, True)]
    await settle()
    assert all(isinstance(caller.exception(), DeadlineExceeded) for caller in leave)
    assert (batches.queued, batches.running, processor.begun) == (0, 0, [])
    assert (account.began_with, account.lost) == ([], {"abandoned": 6})
    assert not caplog.records  # Nor does anything break in the loop.
    stays = call(batches, [4])
    await settle()
    await processor.release(0)
    assert own(stays) == [4]


async def test_a_caller_who_was_cancelled_counts_as_abandoned() -> None:
    processor, account = Processor(), Account()
    batches = batcher(processor, observer=account)
    call(batches, [0])
    await settle()
    leaves = call(batches, [1, 2])
    await settle()
    leaves.cancel()
    await settle()
    await processor.release(0)
    assert account.lost == {"abandoned": 2}


async def test_in_both_lanes_time_runs_out(clock: list[float]) -> None:
    processor, account = Processor(), Account()
    batches = batcher(processor, observer=account)
    call(batches, [0])
    await settle()
    single, bulk = call(batches, [1], max_wait_s=2.0), call(batches, [2, 3], max_wait_s=1.0, bulk=True)
    await settle()
    clock[0] += 1
    await settle()
    assert isinstance(bulk.exception(), DeadlineExceeded)
    assert (single.done(), batches.queued) == (False, 1)
    clock[0] += 1
    await settle()
    assert isinstance(single.exception(), DeadlineExceeded)
    assert (batches.queued, account.lost) == (0, {"expired": 3})
    assert account.left == [1, 0]  # Told although no batch went out.


def test_on_the_loop_of_the_servers_two_whose_time_has_come_are_told_so() -> None:
    async def two_too_late() -> list[BaseException | None]:
        processor = Processor()
        batches = batcher(processor)
        running = call(batches, [0])
        await settle()
        late = [call(batches, [1], max_wait_s=0.0), call(batches, [2], max_wait_s=0.0)]
        await asyncio.wait(late)
        await processor.release(0)
        assert own(running) == [0]
        return [one.exception() for one in late]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        errors = runner.run(two_too_late())
    assert [type(error) for error in errors] == [DeadlineExceeded, DeadlineExceeded]
