"""Who sends a request, and whether it may: the decision, apart from HTTP's messages."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from starlette.types import Scope as AsgiScope

from deployments.access.door import bound_host, check_door
from deployments.access.key_file import VARIABLE
from deployments.access.keys import ApiKey, HeldKey, Scope
from deployments.access.live_keys import LiveKeys
from deployments.access.metering import Meter
from deployments.access.refusals import NO_KEY, lacks_scope, wrong_key
from deployments.access.request_head import key_in
from deployments.access.routes import Route
from deployments.hot_route import Answer

logger = logging.getLogger("ray.serve")

_CALLER: Final = "tollgate.caller"


@dataclass(slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        key: None for somebody without one.
        everything: whether no keys are in force, so that everybody may do everything.
        meter: of a key with a rate.
    """

    key: ApiKey | None = None
    everything: bool = False
    meter: Meter | None = None

    def may(self, scope: Scope) -> bool:
        """Return whether the caller has a scope."""
        return self.everything or (self.key is not None and scope in self.key.scopes)


ANYBODY: Final = Caller(everything=True)
"""Everybody, where no keys are in force."""
STRANGER: Final = Caller()
"""Somebody without a key, where keys are in force."""


def caller_of(scope: AsgiScope) -> Caller:
    """Return who sends a request that was let in."""
    found = scope.get(_CALLER, STRANGER)
    assert isinstance(found, Caller)
    return found


def is_let_in(scope: AsgiScope) -> bool:
    """Return whether a request has passed the gate. What servers put into a scope no client can."""
    return _CALLER in scope


def let_in(scope: AsgiScope, caller: Caller) -> None:
    """Note who sends a request, and that it may pass."""
    scope[_CALLER] = caller


class Callers:
    """Tells who sends a request by its API key.

    Args:
        keys: in force; None: everybody is let in.
        clock: seconds since the epoch, for the end of keys.
        monotonic: seconds, for rates.
    """

    def __init__(
        self,
        keys: LiveKeys | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._monotonic = monotonic
        self._meters: dict[str, Meter] = {}
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    def of_this_replica(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return what the environment of a replica says, checked against where Serve listens.

        Raises:
            InvalidKeys: the keys cannot be read, or others than this machine would be let in without.
        """
        check_door(bound_host(), environment)
        file = environment.get(VARIABLE)
        return cls(LiveKeys(Path(file)) if file else None)

    @property
    def need_keys(self) -> bool:
        """Whether keys are in force."""
        return self._keys is not None

    @property
    def problem(self) -> str:
        """What an operator should see to; empty when all is well."""
        return "" if self._keys is None else self._keys.problem

    def watch(self) -> None:
        """Take new keys as they come, from now on; call it on the event loop."""
        if self._keys is not None and self._watching is None:
            self._watching = asyncio.get_running_loop().create_task(self._keys.watch())

    def judge(self, route: Route | None, credentials: list[bytes]) -> Caller | Answer:
        """Return who sends a request, or the answer that refuses it.

        Args:
            route: None where there is none: a key alone is told so.
            credentials: what the request gives as keys.
        """
        if self._keys is None:
            return ANYBODY
        if not credentials or len(credentials) > 1:
            return NO_KEY if credentials or route is None or route.scope is not None else STRANGER
        held = self._keys.ring.find(key_in(credentials[0]))
        if route is not None and route.scope is None:
            # Open to all; a good key learns more.
            return STRANGER if held is None or self._is_over(held) else self._caller(held)
        if held is None:
            return wrong_key("this is no API key in force")
        if self._is_over(held):
            return wrong_key(f"the time of the key {held.key.id} is over")
        if route is not None and route.scope is not None and route.scope not in held.key.scopes:
            return lacks_scope(held.key.id, route.scope)
        return self._caller(held)

    def _is_over(self, held: HeldKey) -> bool:
        return self._clock() > held.not_after_s

    def _caller(self, held: HeldKey) -> Caller:
        key = held.key
        if key.rate is None:
            return Caller(key)
        meter = self._meters.get(key.id)
        if meter is None or not meter.holds(key):
            meter = self._meters[key.id] = Meter(key, self._monotonic)
        return Caller(key, meter=meter)
