"""Answers between the road that makes them and a client that reads at its own pace, or not at all."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.outbox import Outbox, ReaderStalled

AT_ONCE_S = 0.001
NEVER_S = 3600.0


async def drained(outbox: Outbox) -> bytes:
    data = b""
    while piece := await outbox.take():
        data += piece
    return data


async def test_what_is_put_is_taken_in_order() -> None:
    outbox = Outbox(100, 0, NEVER_S, NEVER_S)
    await outbox.put(b"a")
    await outbox.put(b"b")
    outbox.end()
    assert (await outbox.take(), await outbox.take(), await outbox.take()) == (b"a", b"b", b"")


async def test_a_reader_waits_for_what_will_be_put() -> None:
    outbox = Outbox(100, 0, NEVER_S, NEVER_S)
    reading = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    assert not reading.done()
    await outbox.put(b"a")
    assert await reading == b"a"


async def test_a_slow_reader_holds_the_producer_up_and_nothing_goes_to_disk() -> None:
    outbox = Outbox(4, 1000, NEVER_S, NEVER_S)
    producing = asyncio.create_task(outbox.put(b"12345"))
    await asyncio.sleep(0)
    assert not producing.done()
    assert await outbox.take() == b"12345"
    await producing
    assert outbox.waiting == 0


async def test_for_a_reader_that_takes_nothing_the_answers_go_to_disk_and_come_back_in_order() -> None:
    outbox = Outbox(10, 1000, AT_ONCE_S, NEVER_S)
    sent = [bytes([48 + n]) * 7 for n in range(10)]
    for piece in sent:
        await outbox.put(piece)
    assert outbox.waiting == 70
    outbox.end()
    assert await drained(outbox) == b"".join(sent)
    assert outbox.waiting == 0


async def test_when_the_disk_is_full_too_a_reader_that_takes_nothing_ends_the_stream() -> None:
    outbox = Outbox(4, 8, AT_ONCE_S, AT_ONCE_S)
    await outbox.put(b"12345")
    await outbox.put(b"67890")
    with pytest.raises(ReaderStalled, match="15 bytes"):
        await outbox.put(b"abcde")
    outbox.close()


async def test_a_reader_that_wakes_up_holds_the_producer_up_again() -> None:
    outbox = Outbox(4, 1000, AT_ONCE_S, NEVER_S)
    await outbox.put(b"12345")
    await outbox.put(b"67890")
    assert await outbox.take() == b"12345"
    outbox._patience_s = NEVER_S
    producing = asyncio.create_task(outbox.put(b"abcde"))
    await asyncio.sleep(0)
    assert not producing.done()
    outbox.end()
    assert await drained(outbox) == b"67890abcde"
    await producing


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=20), st.lists(st.booleans(), max_size=30))
async def test_nothing_is_lost_or_reordered_however_putting_and_taking_alternate(
    pieces: list[bytes], takes: list[bool]
) -> None:
    outbox = Outbox(10, 10**6, 0, NEVER_S)
    found = b""
    turns = iter(takes)
    for piece in pieces:
        await outbox.put(piece)
        while next(turns, False) and outbox.waiting:
            found += await outbox.take()
    outbox.end()
    assert found + await drained(outbox) == b"".join(pieces)
