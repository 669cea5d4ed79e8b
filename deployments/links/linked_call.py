"""A call of another deployment: over a link where a replica is on this machine, otherwise through Serve.

Serve says which replicas run, and its handle stays the road to other machines and the way out when a link fails.
What a link saves is the handle's own work, 1 ms of CPU on either side (docs/adr/0008).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import ray

from deployments.errors import CALL_FAILED
from deployments.links.link import Arguments, Link
from deployments.links.served import Address

logger = logging.getLogger("ray.serve")

REFRESH_S: Final = 1.0
"""Age from which the list of replicas is asked for again. A replica that Serve retires waits 2 s for its callers
to hear of it (``graceful_shutdown_wait_loop_s``)."""
ASK_S: Final = 5.0
"""Time that Serve and the replicas have to tell the addresses."""
SILENT_S: Final = 1.0
"""A replica that left a call unanswered for so long gets no more over its link."""


@dataclass(frozen=True, slots=True)
class CallReport:
    """What a linked call did since its last report, and how many links it has now."""

    call: str
    links: int
    by_link: int
    by_serve: int
    repeated: int


class LinkedCall:
    """A method of a deployment, called over links where there are any.

    Args:
        handle: of the deployment. Its replicas have the method, and ``link_address``, which returns their
            :class:`Address`.
        method: name of the method. It must bear a repetition with the same arguments: a call whose replica died
            is made again.
        report: hears at each refresh what was called how.
        node: Ray's id of this machine; None: of the one that this process runs on.
    """

    def __init__(
        self, handle: Any, method: str, report: Callable[[CallReport], None], node: str | None = None
    ) -> None:
        self._broadcast = handle.broadcast
        self._by_serve = getattr(handle, method)
        self._name = f"{handle.deployment_name}.{method}"
        self._report = report
        self._node = node or ray.get_runtime_context().get_node_id()
        self._links: dict[str, Link] = {}
        self._elsewhere = 0
        self._by_link = self._through_serve = self._repeated = 0
        self._refresh_at = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    def remote(self, *arguments: Any) -> Awaitable[Any]:
        """Call the method: the replica on this machine that has least to do, in turn, or Serve's choice.

        While every link is busy with another call of ours, a replica elsewhere may be idle: then Serve chooses.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._refresh_at:
            self._refresh_at = now + ASK_S + REFRESH_S  # Not while it runs; it sets the time of the next.
            self._start(self._refresh())
        link = self._freest()
        if link is None or (link.ongoing and self._elsewhere):
            self._through_serve += 1
            answer: Awaitable[Any] = self._by_serve.remote(*arguments)
            return answer
        self._by_link += 1
        return link.call(arguments)

    def _freest(self) -> Link | None:
        usable = [link for link in self._links.values() if not link.ended.is_set() and link.silent_s < SILENT_S]
        return min(usable, key=lambda link: (link.ongoing, link.called_at), default=None)

    async def _refresh(self) -> None:
        """Link every replica on this machine that Serve runs, and give up those that it no longer does."""
        try:
            answers = await self._broadcast("link_address").results_async(timeout_s=ASK_S, return_exceptions=True)
        except CALL_FAILED as error:
            logger.warning("%s: Serve does not tell where the replicas are: %r", self._name, error)
        else:
            await self._link([answer for answer in answers if isinstance(answer, Address)])
        self._report(CallReport(self._name, len(self._links), self._by_link, self._through_serve, self._repeated))
        self._by_link = self._through_serve = self._repeated = 0
        self._refresh_at = asyncio.get_running_loop().time() + REFRESH_S

    async def _link(self, addresses: list[Address]) -> None:
        here = [address.socket for address in addresses if address.node == self._node and address.socket]
        self._elsewhere = len(addresses) - len(here)
        for socket in [known for known, link in self._links.items() if known not in here or link.ended.is_set()]:
            self._links.pop(socket).close_when_idle()
        for socket in here:
            if socket in self._links:
                continue
            try:
                self._links[socket] = await self._connected(socket)
            except (OSError, TimeoutError) as error:
                logger.warning("%s: no link to a replica, calls go through Serve: %r", self._name, error)

    async def _connected(self, socket: str) -> Link:
        loop = asyncio.get_running_loop()
        connecting = loop.create_unix_connection(lambda: Link(self._over_serve), socket)
        _, link = await asyncio.wait_for(connecting, ASK_S)
        return link

    def _over_serve(self, future: asyncio.Future[Any], arguments: Arguments) -> None:
        """Make a call again whose link ended before the answer."""
        logger.warning("%s: a link ended before its answer, Serve makes the call again", self._name)
        self._repeated += 1
        self._start(self._repeat(arguments)).add_done_callback(partial(_settle, future))

    async def _repeat(self, arguments: Arguments) -> Any:
        return await self._by_serve.remote(*arguments)

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _settle(future: asyncio.Future[Any], task: asyncio.Task[Any]) -> None:
    """Give the outcome of a repeated call to who waits for the first."""
    error = None if task.cancelled() else task.exception()
    if future.done():
        return
    if task.cancelled():
        future.cancel()
    elif error is not None:
        future.set_exception(error)
    else:
        future.set_result(task.result())
