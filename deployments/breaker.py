"""A circuit breaker (Nygard, Release It!): a dependency that keeps failing is left alone for a while.

A batch that waits in vain for a dead part spends time that the other parts need. After some failures in a row the
circuit opens and calls fail at once; after a pause one call at a time tries again, and a good answer closes it.
What is logged are these changes and the failures that lead to them, not each call that an open circuit fails.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from deployments.settings import BreakerSettings
from features.errors import DependencyDown

logger = logging.getLogger("ray.serve")


class CircuitObserver(Protocol):
    """Hears of the state of circuits."""

    def circuit(self, dependency: str, is_open: bool) -> None:
        """The circuit of a dependency opened or closed."""

    def failed(self, dependency: str) -> None:
        """A call failed, or had no answer in time."""


class Breaker:
    """The circuit of one dependency.

    Args:
        name: of the dependency, as ``degraded`` names it.
        observer: hears when the circuit opens and closes.
        settings: when it opens and for how long; may be replaced at any time.
    """

    def __init__(self, name: str, observer: CircuitObserver, settings: BreakerSettings) -> None:
        self.name = name
        self.settings = settings
        self._observer = observer
        self._failures = 0
        self._try_at = 0.0
        observer.circuit(name, False)

    @property
    def is_open(self) -> bool:
        """Whether calls fail without being made."""
        return self._failures >= self.settings.failures

    async def call(self, timeout_s: float, make: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call and return its answer.

        Args:
            timeout_s: bound on its time.
            make: makes the call.

        Raises:
            DependencyDown: the circuit is open; nothing was called.
            TimeoutError: there was no answer in time.
            Exception: whatever the call failed with.
        """
        now = asyncio.get_running_loop().time()
        if self.is_open:
            if now < self._try_at:
                raise DependencyDown(f"{self.name} keeps failing; it is tried again soon")
            self._try_at = now + self.settings.pause_ms / 1000  # The others wait for how this one ends.
        try:
            async with asyncio.timeout(timeout_s):
                answer = await make()
        except Exception as error:
            self._fail(error)
            raise
        if self._failures:
            self._recover()
        return answer

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        self._observer.failed(self.name)
        self._try_at = asyncio.get_running_loop().time() + self.settings.pause_ms / 1000
        if self._failures <= self.settings.failures:
            logger.error("%s did not answer, %d times in a row: %r", self.name, self._failures, error)
        if self._failures == self.settings.failures:
            logger.error("%s is left alone, and tried again every %g ms", self.name, self.settings.pause_ms)
            self._observer.circuit(self.name, True)

    def _recover(self) -> None:
        if self.is_open:
            logger.error("%s answers again", self.name)
            self._observer.circuit(self.name, False)
        self._failures = 0
