"""The end of a link that is called: one method of a replica, behind a socket."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray

from deployments.errors import SAID
from deployments.links.frames import Frames, Kind
from deployments.links.sockets import listening
from features.errors import CallFailed

logger = logging.getLogger("ray.serve")

Method = Callable[..., Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class Address:
    """Where a replica is called: the machine (Ray's node id), and the socket on it, None where it has none."""

    node: str
    socket: str | None


class ServedMethod:
    """Serves a method of this replica to the replicas on the same machine.

    Args:
        method: what is called; arguments and answers are pickled.
    """

    def __init__(self, method: Method) -> None:
        self._method = method
        self._server: asyncio.Server | None = None
        self._socket: str | None = None
        self._tried = False

    async def address(self) -> Address:
        """Return where the method is served; the first who asks has the socket opened.

        Where none can be opened, calls come through Serve, and the log says why.
        """
        if not self._tried:
            self._tried = True
            try:
                await self.open()
            except OSError as error:
                logger.warning("no links to this replica, calls come through Serve: %s", error)
        return Address(ray.get_runtime_context().get_node_id(), self._socket)

    async def open(self) -> str:
        """Open the socket and return its path.

        Raises:
            OSError: it cannot be opened.
        """
        listener = listening()
        self._socket = str(listener.getsockname())
        self._server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Connection(self._method), sock=listener
        )
        return self._socket


class _Connection(Frames):
    """One caller. Its calls run side by side, and each is answered as soon as it ends."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self._method = method
        self._running: set[asyncio.Task[Any]] = set()

    def received(self, call: int, kind: Kind, content: Any) -> None:
        """Run a call."""
        assert kind is Kind.CALL
        task = asyncio.get_running_loop().create_task(self._method(*content))
        self._running.add(task)
        task.add_done_callback(partial(self._answer, call))

    def _answer(self, call: int, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if task.cancelled():
            self.close()  # This replica stops; the caller takes the other road.
        elif (error := task.exception()) is None:
            self.send(call, Kind.ANSWER, task.result())
        elif isinstance(error, SAID):
            self.send(call, Kind.ERROR, error)
        else:
            logger.error("a call failed by a defect", exc_info=error)
            self.send(call, Kind.ERROR, CallFailed("an unexpected error; it is logged"))
