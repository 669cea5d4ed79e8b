"""Single transactions and bulk requests wait apart and share the batches by weight; neither starves the other."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import Overloaded
from tests.unit.deployments.batches import Account, Batcher, Processor, batcher, bounds, call, own, settle

BULK = 1_000_000
"""From here on, the numbers of bulk groups."""
_numbers = count()


def flood(batches: Batcher, transactions: int, weight: int = 1, bulk: bool = False) -> None:
    """Submit groups of one weight that hold so many transactions."""
    for _ in range(transactions // weight):
        call(batches, [next(_numbers) + BULK * bulk for _ in range(weight)], bulk=bulk)


def bulk_of(batch: list[int]) -> int:
    """Return how many of a batch came from the lane of bulk requests."""
    return sum(number >= BULK for number in batch)


def word(batch: list[int]) -> str:
    """Return which lane a batch came from."""
    return {0: "single", len(batch): "bulk"}.get(bulk_of(batch), "both")


async def run(processor: Processor, batches: int) -> list[list[int]]:
    """Let so many batches end, one after the other, and return those that began meanwhile."""
    before = len(processor.begun)
    for _ in range(batches):
        await processor.release(processor.held()[0])
    return processor.begun[before:]


async def finish(processor: Processor) -> None:
    """Let all end."""
    while held := processor.held():
        for batch in held:
            processor.gates[batch].set_result(None)
        await settle()


async def both_full(size: int, share: float, transactions: int, weight: int) -> tuple[Batcher, Processor]:
    """Return a batcher with so many transactions in each lane, and one batch of another under way."""
    processor = Processor()
    batches = batcher(processor, bounds(size, queue=50_000, single_share=share))
    call(batches, [-1])
    await settle()
    flood(batches, transactions)
    flood(batches, transactions, weight, bulk=True)
    await settle()
    return batches, processor


@given(
    share=st.floats(0.05, 0.95),
    size_and_weight=st.integers(1, 8).flatmap(
        lambda size: st.tuples(st.just(size), st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
    ),
)
async def test_of_two_full_lanes_each_gets_its_share_to_within_one_batch(
    share: float, size_and_weight: tuple[int, int]
) -> None:
    size, weight = size_and_weight
    transactions = 30 * size
    _, processor = await both_full(size, share, transactions, weight)
    singles = bulks = 0
    while True:
        [batch] = await run(processor, 1)
        assert len(batch) == size
        singles, bulks = singles + size - bulk_of(batch), bulks + bulk_of(batch)
        assert abs(singles - share * (singles + bulks)) <= size
        if transactions - max(singles, bulks) < size:
            break
    await finish(processor)


@given(
    share=st.floats(0.5, 0.95),
    size=st.integers(2, 8),
    weights=st.lists(st.integers(1, 8), min_size=1, max_size=40),
)
async def test_neither_lane_starves_whatever_the_groups_weigh(share: float, size: int, weights: list[int]) -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size, queue=50_000, single_share=share))
    call(batches, [-1])
    await settle()
    left = {"single": 25 * size, "bulk": 0}
    flood(batches, left["single"])
    for weight in weights:
        flood(batches, min(size, weight), min(size, weight), bulk=True)
        left["bulk"] += min(size, weight)
    await settle()
    # Batches in a row that one lane may have for itself: what it costs the other to catch up, and a part of one.
    most = {"single": (1 - share) / share + 2, "bulk": share / (1 - share) + 2}
    without = {"single": 0, "bulk": 0}
    while min(left.values()) > 0:
        [batch] = await run(processor, 1)
        got = {"bulk": bulk_of(batch), "single": len(batch) - bulk_of(batch)}
        for lane in got:
            left[lane] -= got[lane]
            without[lane] = 0 if got[lane] else without[lane] + 1
            assert without[lane] <= most[lane]
    await finish(processor)


@pytest.mark.parametrize("share", [0.01, 0.99])
async def test_even_a_tiny_share_is_served(share: float) -> None:
    _, processor = await both_full(1, share, 1100, 1)
    batches = await run(processor, 1005)
    words = [word(batch) for batch in batches]
    assert 9 <= min(words.count("single"), words.count("bulk")) <= 12
    await finish(processor)


@pytest.mark.parametrize("idle_is_bulk", [False, True])
async def test_a_lane_that_was_idle_has_earned_no_credit(idle_is_bulk: bool) -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=2, queue=1000, single_share=0.5))
    flood(batches, 40, bulk=not idle_is_bulk)
    await settle()
    await run(processor, 6)
    flood(batches, 40, bulk=idle_is_bulk)
    await settle()
    words = [word(batch) for batch in await run(processor, 8)]
    assert words in (["single", "bulk"] * 4, ["bulk", "single"] * 4)
    await finish(processor)


@pytest.mark.parametrize("came_first", [False, True])
@pytest.mark.parametrize("had_all_is_bulk", [False, True])
async def test_what_a_lane_got_while_nobody_else_waited_is_not_held_against_it(
    had_all_is_bulk: bool, came_first: bool
) -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=2, queue=1000, single_share=0.5))
    flood(batches, 40, bulk=had_all_is_bulk)
    await settle()
    await finish(processor)
    assert len(processor.begun) == 20
    # Without a turn between them, both lanes are full when the first batch is taken.
    flood(batches, 20, bulk=had_all_is_bulk is came_first)
    flood(batches, 20, bulk=had_all_is_bulk is not came_first)
    await settle()
    await run(processor, 5)
    assert [word(batch) for batch in processor.begun[-6:]] == ["single", "bulk"] * 3
    await finish(processor)


async def test_a_lane_that_empties_and_comes_back_does_not_pass_over_what_it_got() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=4, queue=1000, single_share=0.75))
    call(batches, [-1])
    await settle()
    flood(batches, 100)
    flood(batches, 4, 4, bulk=True)
    await settle()
    seen = []
    for _ in range(12):
        [batch] = await run(processor, 1)
        seen.append(word(batch))
        if seen[-1] == "bulk":
            flood(batches, 4, 4, bulk=True)
            await settle()
    assert seen == ["single", "bulk", "single", "single"] * 3
    await finish(processor)


async def test_a_new_share_holds_from_the_next_batches_on() -> None:
    batches, processor = await both_full(4, 0.5, 400, 1)
    words = [word(batch) for batch in await run(processor, 8)]
    assert words.count("single") == 4
    batches.reconfigure(bounds(4, queue=50_000, single_share=0.75))
    words = [word(batch) for batch in await run(processor, 40)]
    assert 29 <= words.count("single") <= 31
    await finish(processor)


@pytest.mark.parametrize("flooded_is_bulk", [False, True])
async def test_a_lane_that_is_full_takes_no_room_from_the_other(flooded_is_bulk: bool) -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=2, queue=4))
    call(batches, [-1])
    await settle()
    flood(batches, 4, 2, bulk=flooded_is_bulk)
    await settle()
    refused = call(batches, [1], bulk=flooded_is_bulk)
    calls = [call(batches, [number], bulk=not flooded_is_bulk) for number in range(4)]
    await settle()
    assert isinstance(refused.exception(), Overloaded)
    assert batches.queued == 8
    await finish(processor)
    assert [own(caller) for caller in calls] == [[0], [1], [2], [3]]


async def test_under_a_flood_of_bulk_requests_single_ones_are_neither_refused_nor_late() -> None:
    processor, account = Processor(), Account()
    batches = batcher(processor, bounds(size=8, queue=16), account)
    flood(batches, 800, 8, bulk=True)
    await settle()
    for number in range(10):
        caller = call(batches, [number])
        await settle()
        flood(batches, 80, 8, bulk=True)
        await settle()
        await run(processor, 2)
        await settle()
        assert own(caller) == [number]
    assert account.lost["refused"] > 0
    await finish(processor)


async def test_room_that_one_lane_leaves_goes_to_the_other() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=4))
    call(batches, [-1])
    await settle()
    call(batches, [1])
    flood(batches, 3, 3, bulk=True)
    flood(batches, 3, 3, bulk=True)
    await settle()
    [batch] = await run(processor, 1)
    assert (len(batch), bulk_of(batch)) == (4, 3)
    await finish(processor)


async def test_what_is_not_computed_costs_a_lane_nothing() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=2, queue=1000, single_share=0.5))
    call(batches, [-1])
    await settle()
    for number in range(100):
        call(batches, [number], gone=lambda: True)
    flood(batches, 10)
    flood(batches, 10, bulk=True)
    await settle()
    assert [word(batch) for batch in await run(processor, 6)] == ["single", "bulk"] * 3
    await finish(processor)


async def test_a_lane_is_not_punished_for_room_that_the_other_left() -> None:
    processor = Processor()
    batches = batcher(processor, bounds(size=4, queue=10_000, single_share=0.1))
    for _ in range(2000):
        call(batches, [0])
    for weight in [3] * 400 + [4] * 400:
        call(batches, [1] * weight, bulk=True)
    await settle()
    without = worst = 0
    while len(processor.begun) < 700:
        await processor.release(processor.held()[0])
        without = 0 if 0 in processor.begun[-1] else without + 1
        worst = max(worst, without)
    assert worst <= (1 - 0.1) / 0.1 + 2
