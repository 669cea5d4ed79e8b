"""A link: both ends, on a real socket."""

import asyncio
from typing import Any

import numpy as np
import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from deployments.links.frames import HEADER
from deployments.links.link import Arguments, Link
from deployments.links.served import ServedMethod
from features.errors import BundleRefused, CallFailed
from tests.unit.deployments.links.conftest import Replica

Lost = list[tuple[asyncio.Future[Any], Arguments]]


async def connected(served: ServedMethod, lost: Lost | None = None) -> Link:
    losses: Lost = [] if lost is None else lost
    loop = asyncio.get_running_loop()
    path = await served.open()
    _, link = await loop.create_unix_connection(lambda: Link(lambda *call: losses.append(call)), path)
    return link


async def test_a_call_gets_its_answer() -> None:
    link = await connected(Replica().served)
    np.testing.assert_array_equal(await link.call((np.arange(3),)), [0, 2, 4])
    assert link.ongoing == 0
    assert link.silent_s == 0


async def test_an_answer_of_megabytes_arrives_whole() -> None:
    link = await connected(Replica().served)
    assert await link.call((b"x" * 3_000_000,)) == b"x" * 6_000_000


async def test_calls_run_side_by_side_and_each_gets_its_own_answer() -> None:
    replica = Replica()
    replica.may_answer.clear()
    link = await connected(replica.served)
    calls = [link.call((n,)) for n in range(5)]
    await replica.was_asked(5)
    assert link.ongoing == 5
    replica.may_answer.set()
    assert await asyncio.gather(*calls) == [0, 2, 4, 6, 8]


async def test_an_error_of_tollgate_is_raised_as_it_is() -> None:
    async def refuse() -> None:
        raise BundleRefused("foreign fingerprint")

    link = await connected(ServedMethod(refuse))
    with pytest.raises(BundleRefused, match="foreign fingerprint"):
        await link.call(())


async def test_a_failed_call_of_the_replicas_own_is_raised_as_it_is() -> None:
    async def lose() -> None:
        raise AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), "the connection broke")

    link = await connected(ServedMethod(lose))
    with pytest.raises(AioRpcError, match="the connection broke"):
        await link.call(())


async def test_a_defect_is_told_without_its_insides_and_logged_where_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail() -> None:
        raise ValueError("secret")

    link = await connected(ServedMethod(fail))
    with pytest.raises(CallFailed, match="an unexpected error; it is logged") as failure:
        await link.call(())
    assert "secret" not in str(failure.value)
    assert "secret" in caplog.text


async def test_a_call_whose_connection_ends_is_handed_over_with_its_arguments() -> None:
    lost: Lost = []
    replica = Replica()
    replica.may_answer.clear()
    link = await connected(replica.served, lost)
    call = link.call(("payment",))
    link.close()
    await link.ended.wait()
    assert lost == [(call, ("payment",))]
    assert link.ongoing == 0


async def test_a_call_that_nobody_waits_for_any_more_is_not_handed_over() -> None:
    lost: Lost = []
    replica = Replica()
    replica.may_answer.clear()
    link = await connected(replica.served, lost)
    link.call((1,)).cancel()
    link.close()
    await link.ended.wait()
    assert lost == []


async def test_an_answer_that_nobody_waits_for_any_more_harms_nobody() -> None:
    replica = Replica()
    replica.may_answer.clear()
    link = await connected(replica.served)
    link.call((1,)).cancel()
    replica.may_answer.set()
    assert await link.call((2,)) == 4


async def test_a_link_that_is_given_up_answers_what_is_under_way_and_then_closes() -> None:
    replica = Replica()
    replica.may_answer.clear()
    link = await connected(replica.served)
    call = link.call((1,))
    link.close_when_idle()
    replica.may_answer.set()
    assert await call == 2
    await link.ended.wait()


async def test_a_message_that_cannot_be_read_ends_the_connection_and_the_calls_take_the_other_road() -> None:
    lost: Lost = []
    unread: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unread.append(context["message"]))
    link = await connected(Replica().served, lost)
    call = link.call((1,))
    link._transport.write(HEADER.pack(3, 9, 0) + b"???")
    await link.ended.wait()
    assert call.done() or lost == [(call, (1,))]
    assert unread


async def test_time_without_an_answer_is_told() -> None:
    replica = Replica()
    replica.may_answer.clear()
    link = await connected(replica.served)
    first = link.call((1,))
    made_at = link.called_at
    link.call((2,))
    loop = asyncio.get_running_loop()
    assert link.silent_s >= loop.time() - made_at - 0.001
    replica.may_answer.set()
    await first
