"""The feature deployment: the past of each transaction from the online store, as a feature matrix."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from deployments.breaker import Breaker
from deployments.garbage import collect_seldom
from deployments.links.served import Address, ServedMethod
from deployments.live_settings import LiveSettings
from deployments.metrics import CircuitMetrics
from deployments.scaling import BusyShare
from deployments.settings import BreakerSettings, StoreSettings
from deployments.status import Status, Uptime
from features.errors import DependencyDown, OnlineStoreUnavailable
from features.formulas import Matrix, feature_matrix
from features.label import LabelBatch, LabelOutcome
from features.online import AsyncOnlineStore
from features.store_address import store_url
from features.transaction import TransactionBatch
from features.without_history import without_history

STORE_SHARE: Final = 0.8
"""Share of the time that the caller waits which the store may take."""
ROWS_OF_ONE: Final = 32
"""Rows of one customer, or device, that a call of the store may hold. Each brings the whole log, up to 256 KiB of
it: of a chunk of 512 rows the store would answer nobody else for a second."""


def calls_of(batch: TransactionBatch) -> Iterator[TransactionBatch]:
    """Yield a batch as the calls of the store that it takes: one, unless somebody has too many rows of it."""
    if len(batch) > ROWS_OF_ONE:
        most = max(
            Counter(batch.customer_id).most_common(1)[0][1],
            max(Counter(device for device in batch.device_id if device is not None).values(), default=0),
        )
        if most > ROWS_OF_ONE:
            for start in range(0, len(batch), ROWS_OF_ONE):
                yield batch.slice(start, start + ROWS_OF_ONE)
            return
    yield batch


@dataclass(frozen=True, slots=True)
class FeatureReply:
    """A feature matrix (n, features), and whether the history in it came from the store."""

    matrix: Matrix
    has_history: bool


class Features:
    """Reads and counts a micro-batch in one round trip.

    When the store does not answer in time, the transactions' own features stand alone (as for a customer
    without history) and the reply says so.
    """

    def __init__(self, redis_url: str) -> None:
        collect_seldom()
        self._settings = LiveSettings(StoreSettings)
        self._store = AsyncOnlineStore(store_url(redis_url, os.environ))
        self._breaker = Breaker("feature_store", CircuitMetrics(), BreakerSettings())
        self._uptime = Uptime()
        self._busy = BusyShare()
        self._observe = ServedMethod(self.observe)

    async def link_address(self) -> Address:
        """Return where routers on this machine call :meth:`observe`."""
        return await self._observe.address()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what the autoscaling policy goes by. Async, so that Serve asks on the event loop."""
        return self._busy.stats()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take the bound on the store's answers (:class:`StoreSettings`)."""
        if self._settings.take(user_config):
            self._store.timeout_s = self._settings.value.timeout_ms / 1000
            self._breaker.settings = self._settings.value.breaker

    async def observe(self, batch: TransactionBatch, left_s: float) -> FeatureReply:
        """Return the features of a batch as of each transaction, and count the batch.

        Args:
            left_s: time that the caller waits for them.
        """
        # Some of it is for what comes after the store, and for the way back.
        until_s = asyncio.get_running_loop().time() + STORE_SHARE * left_s
        try:
            parts = [await self._observed(part, until_s) for part in calls_of(batch)]
        except (OnlineStoreUnavailable, DependencyDown, TimeoutError):  # Logged, and counted, by the circuit.
            return FeatureReply(feature_matrix(without_history(batch)), False)
        return FeatureReply(parts[0] if len(parts) == 1 else np.vstack(parts), True)

    async def _observed(self, batch: TransactionBatch, until_s: float) -> Matrix:
        """Return the features of what one call of the store holds.

        Args:
            until_s: when the store must have answered, by the loop's clock.
        """
        timeout_s = min(self._store.timeout_s, until_s - asyncio.get_running_loop().time())
        return feature_matrix(await self._breaker.call(timeout_s, lambda: self._store.observe(batch)))

    async def take_labels(self, labels: LabelBatch) -> list[LabelOutcome]:
        """Take labels in their order, at most ``LABELS_A_CALL``; return what became of each.

        Raises:
            OnlineStoreUnavailable: the store did not answer; taking them again is safe.
        """
        return await self._store.take_labels(labels)

    async def status(self) -> Status:
        """Return that this replica answers."""
        return self._uptime.status(True, "answers", self._settings.problem)

    async def store_status(self) -> Status:
        """Return whether the online store answers this replica."""
        try:
            await self._store.ping()
        except OnlineStoreUnavailable as error:
            return self._uptime.status(False, str(error))
        return self._uptime.status(True, "answers")
