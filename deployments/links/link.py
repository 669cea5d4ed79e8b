"""The end of a link that calls."""

import asyncio
from collections.abc import Callable
from typing import Any

from deployments.links.frames import Frames, Kind

Arguments = tuple[Any, ...]
OtherRoad = Callable[[asyncio.Future[Any], Arguments], None]
"""Takes a call over whose connection ended before its answer: whose future it is, and its arguments."""


class Link(Frames):
    """A connection to one replica. A call that it loses is handed to the other road, not lost.

    Args:
        other_road: takes calls over. They may have been computed: what is called must bear a repetition.
    """

    def __init__(self, other_road: OtherRoad) -> None:
        super().__init__()
        self._other_road = other_road
        self._loop = asyncio.get_running_loop()
        self._calls: dict[int, tuple[asyncio.Future[Any], Arguments, float]] = {}
        self._number = 0
        self._closing = False
        self.ended = asyncio.Event()
        """Set once the connection is no more."""
        self.called_at = 0.0
        """When the last call was made, by the loop's clock."""

    @property
    def ongoing(self) -> int:
        """Calls that were not answered yet."""
        return len(self._calls)

    @property
    def silent_s(self) -> float:
        """Seconds for which the oldest ongoing call has waited; 0 without one."""
        oldest = next(iter(self._calls.values()), None)
        return 0.0 if oldest is None else self._loop.time() - oldest[2]

    def call(self, arguments: Arguments) -> asyncio.Future[Any]:
        """Call the replica; the future gets its answer, or what it raised."""
        self._number += 1
        self.called_at = self._loop.time()
        future = self._loop.create_future()
        self._calls[self._number] = future, arguments, self.called_at
        self.send(self._number, Kind.CALL, arguments)
        return future

    def close_when_idle(self) -> None:
        """Close the connection as soon as every call under way has its answer."""
        self._closing = True
        if not self._calls:
            self.close()

    def received(self, call: int, kind: Kind, content: Any) -> None:
        """Take an answer. Nobody may wait for it any more."""
        future, _, _ = self._calls.pop(call)
        if self._closing:
            self.close_when_idle()
        if future.done():
            return
        if kind is Kind.ERROR:
            future.set_exception(content)
        else:
            future.set_result(content)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - a lost call says enough
        """Hand over every call that somebody still waits for."""
        self.ended.set()
        lost, self._calls = self._calls, {}
        for future, arguments, _ in lost.values():
            if not future.done():
                self._other_road(future, arguments)
