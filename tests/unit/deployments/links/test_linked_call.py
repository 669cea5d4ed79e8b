"""Which road a call takes. The handle is a fake: what Serve says is the input; sockets and replicas are real."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from ray.serve.exceptions import DeploymentUnavailableError

from deployments.links import linked_call
from deployments.links.linked_call import CallReport, LinkedCall
from deployments.links.served import Address
from tests.unit.deployments.links.conftest import Replica

HERE = "this machine"


class Handle:
    """What a deployment handle tells and does. Its calls are answered by ``("serve", argument)``."""

    deployment_name = "Part"

    def __init__(self) -> None:
        self.addresses: list[Any] = []
        self.unavailable = False
        self.asked = 0

    def broadcast(self, method: str) -> "Handle":
        assert method == "link_address"
        return self

    async def results_async(self, timeout_s: float, return_exceptions: bool) -> list[Any]:
        assert timeout_s > 0
        assert return_exceptions
        self.asked += 1
        if self.unavailable:
            raise DeploymentUnavailableError("Part")
        return self.addresses

    @property
    def double(self) -> "Handle":
        return self

    def remote(self, value: Any) -> Awaitable[Any]:
        async def answered() -> Any:
            return "serve", value

        return answered()


class Clocked:
    """A linked call that asks Serve again whenever told."""

    def __init__(self, handle: Handle) -> None:
        self.reports: list[CallReport] = []
        self._reported = asyncio.Event()
        self.call = LinkedCall(handle, "double", self._report, HERE)

    def _report(self, report: CallReport) -> None:
        self.reports.append(report)
        self._reported.set()

    async def refreshed(self) -> None:
        """Ask Serve again, now, and wait until that is done."""
        self.call._refresh_at = 0.0
        self._reported.clear()
        await self.call.remote(0)
        await self._reported.wait()


async def address(replica: Replica) -> Address:
    return Address(HERE, await replica.served.open())


async def test_the_first_call_goes_by_serve_and_later_ones_over_a_link() -> None:
    handle, replica = Handle(), Replica()
    handle.addresses = [await address(replica)]
    clocked = Clocked(handle)
    assert await clocked.call.remote(1) == ("serve", 1)
    await clocked.refreshed()
    assert await clocked.call.remote(1) == 2


async def test_a_replica_on_another_machine_is_called_by_serve() -> None:
    handle, replica = Handle(), Replica()
    handle.addresses = [Address("another", (await address(replica)).socket), Address(HERE, None)]
    clocked = Clocked(handle)
    await clocked.refreshed()
    assert await clocked.call.remote(1) == ("serve", 1)
    assert replica.asked == []


async def test_calls_are_spread_over_the_replicas_of_this_machine() -> None:
    handle, replicas = Handle(), [Replica(), Replica()]
    handle.addresses = [await address(replica) for replica in replicas]
    clocked = Clocked(handle)
    await clocked.refreshed()
    for n in range(6):
        await clocked.call.remote(n)
    assert [len(replica.asked) for replica in replicas] == [3, 3]


@pytest.mark.parametrize(("elsewhere", "expected"), [(0, 10), (1, ("serve", 5))])
async def test_while_every_link_is_busy_serve_chooses_if_there_are_replicas_elsewhere(
    elsewhere: int, expected: Any
) -> None:
    handle, replica = Handle(), Replica()
    handle.addresses = [await address(replica), *[Address("another", None)] * elsewhere]
    clocked = Clocked(handle)
    await clocked.refreshed()
    replica.may_answer.clear()
    held = clocked.call.remote(1)
    second = asyncio.ensure_future(clocked.call.remote(5))
    await asyncio.sleep(0)
    replica.may_answer.set()
    assert await second == expected
    assert await held == 2


async def test_a_call_is_made_again_by_serve_when_its_replica_dies() -> None:
    handle, replica = Handle(), Replica()
    handle.addresses = [await address(replica)]
    clocked = Clocked(handle)
    await clocked.refreshed()
    replica.may_answer.clear()
    held = clocked.call.remote(1)
    [link] = clocked.call._links.values()
    link.close()
    assert await held == ("serve", 1)
    assert await clocked.call.remote(2) == ("serve", 2)


async def test_a_replica_that_serve_no_longer_runs_gets_no_more_calls_but_ends_those_it_has() -> None:
    handle, old, new = Handle(), Replica(), Replica()
    handle.addresses = [await address(old)]
    clocked = Clocked(handle)
    await clocked.refreshed()
    old.may_answer.clear()
    held = clocked.call.remote("held")
    handle.addresses = [await address(new)]
    refreshing = asyncio.ensure_future(clocked.refreshed())
    await asyncio.sleep(0)
    old.may_answer.set()
    assert await held == "heldheld"
    await refreshing
    for n in range(3):
        await clocked.call.remote(n)
    assert (old.asked, new.asked) == (["held", 0], [0, 1, 2])


async def test_a_silent_replica_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    handle, replica = Handle(), Replica()
    handle.addresses = [await address(replica)]
    clocked = Clocked(handle)
    await clocked.refreshed()
    monkeypatch.setattr(linked_call, "SILENT_S", 0.0)
    replica.may_answer.clear()
    held = clocked.call.remote(1)
    assert await clocked.call.remote(2) == ("serve", 2)
    replica.may_answer.set()
    await held


async def test_while_serve_cannot_tell_the_links_stay_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handle, replica = Handle(), Replica()
    handle.addresses = [await address(replica)]
    clocked = Clocked(handle)
    await clocked.refreshed()
    handle.unavailable = True
    await clocked.refreshed()
    assert await clocked.call.remote(1) == 2
    assert "Serve does not tell where the replicas are" in caplog.text


async def test_a_socket_that_nobody_serves_leaves_the_calls_to_serve(caplog: pytest.LogCaptureFixture) -> None:
    handle = Handle()
    handle.addresses = [Address(HERE, "/nowhere/0.sock")]
    clocked = Clocked(handle)
    await clocked.refreshed()
    assert await clocked.call.remote(1) == ("serve", 1)
    assert "no link to a replica" in caplog.text


async def test_a_replica_that_did_not_tell_its_address_is_called_by_serve() -> None:
    handle = Handle()
    handle.addresses = [TimeoutError("no answer")]
    clocked = Clocked(handle)
    await clocked.refreshed()
    assert await clocked.call.remote(1) == ("serve", 1)


async def test_serve_is_asked_once_in_a_while_and_not_at_each_call() -> None:
    handle, replica = Handle(), Replica()
    handle.addresses = [await address(replica)]
    clocked = Clocked(handle)
    await clocked.refreshed()
    for n in range(20):
        await clocked.call.remote(n)
    assert handle.asked == 1


async def test_each_report_tells_the_calls_since_the_last_by_road() -> None:
    handle, replica = Handle(), Replica()
    handle.addresses = [await address(replica)]
    clocked = Clocked(handle)
    await clocked.refreshed()
    assert clocked.reports == [CallReport("Part.double", 1, 0, 1, 0)]
    for n in range(3):
        await clocked.call.remote(n)
    [link] = clocked.call._links.values()
    replica.may_answer.clear()
    held = clocked.call.remote(9)
    link.close()
    await held
    replica.may_answer.set()
    await clocked.refreshed()
    assert clocked.reports[1] == CallReport("Part.double", 1, 4, 1, 1)
    assert await clocked.call.remote(9) == 18  # The link was made again.
