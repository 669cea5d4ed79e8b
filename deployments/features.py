"""The feature deployment: the past of each transaction from the online store, as a feature matrix."""

import os
from dataclasses import dataclass
from typing import Any, Final

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
        timeout_s = min(self._store.timeout_s, STORE_SHARE * left_s)
        try:
            columns = await self._breaker.call(timeout_s, lambda: self._store.observe(batch))
            return FeatureReply(feature_matrix(columns), True)
        except (OnlineStoreUnavailable, DependencyDown, TimeoutError):  # Logged, and counted, by the circuit.
            return FeatureReply(feature_matrix(without_history(batch)), False)

    async def take_labels(self, labels: LabelBatch) -> list[LabelOutcome]:
        """Take labels in their order, at most ``LABELS_A_CALL``; return what became of each.

        Raises:
            OnlineStoreUnavailable: the store did not answer; taking them again is safe.
        """
        return await self._store.take_labels(labels)

    async def status(self) -> Status:
        """Return whether the store answers."""
        try:
            await self._store.ping()
        except OnlineStoreUnavailable as error:
            return self._uptime.status(False, str(error), self._settings.problem)
        return self._uptime.status(True, "the store answers", self._settings.problem)
