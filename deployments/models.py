"""The two model deployments: each scores a feature matrix, and explains rows of it."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deployments.garbage import FEW, collect_seldom
from deployments.links.served import Address, ServedMethod
from deployments.live_settings import LiveSettings
from deployments.model_scores import ModelScores, explained
from deployments.scaling import BusyShare
from deployments.served_bundles import ServedBundles
from deployments.settings import ModelSettings
from deployments.status import Status, Uptime
from features.errors import BundleRefused, RegistryUnavailable
from features.formulas import Matrix
from training.registry import BoostedModel, Bundle, LogisticModel

logger = logging.getLogger("ray.serve")

ModelVersion = tuple[str, str]
"""Name and version of a bundle."""


class ModelReplica:
    """What both deployments share: bundles by version. The routers say which one scores a batch."""

    def __init__(self, tracking_uri: str, kept: Path | None = None) -> None:
        collect_seldom(FEW)
        self._settings = LiveSettings(ModelSettings)
        self._bundles = ServedBundles(tracking_uri, kept)
        self._problem = ""
        self._late: set[asyncio.Task[str]] = set()
        self._uptime = Uptime()
        self._busy = BusyShare()
        self._score = ServedMethod(self.score)

    async def link_address(self) -> Address:
        """Return where routers on this machine call :meth:`score`."""
        return await self._score.address()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what the autoscaling policy goes by. Async, so that Serve asks on the event loop."""
        return self._busy.stats()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Hold the bundle that ``user_config`` names (:class:`ModelSettings`)."""
        if not self._settings.take(user_config):
            return
        ref = self._settings.value.model
        try:
            await self._bundles.hold(ref.name, await self._bundles.version_of(ref))
            self._problem = ""
        except (BundleRefused, RegistryUnavailable) as error:
            problem = f"{ref.name}@{ref.alias} was not taken: {error}"
            if self._bundles.versions:
                self._problem = problem
            else:
                # The routers say which version decides, follow the alias, and tell what is wrong with it.
                await self._bundles.hold_kept(ref)
                if not self._bundles.versions:
                    raise
            logger.error(problem)

    async def hold(self, name: str, version: str) -> str:
        """Load a version beside those in service; return what is wrong with it, "" when it can be asked for."""
        try:
            await self._bundles.hold(name, version)
        except (BundleRefused, RegistryUnavailable) as error:
            return str(error)
        return ""

    async def score(
        self, matrix: Matrix, suspect: npt.NDArray[np.bool_], above: float, model: ModelVersion
    ) -> ModelScores:
        """Return the scores of a feature matrix (n, features), and explain the rows that need it.

        Scores and contributions come in one answer, because a second call would cost more than both.

        Args:
            suspect: (n,) rows to explain whatever their score.
            above: rows are explained, too, when they score above it.
            model: name and version of the bundle that scores.

        Raises:
            BundleRefused: the version is not held here; it is loaded for later calls.
        """
        bundle = self._bundles.get(*model)
        if bundle is None:
            task = asyncio.get_running_loop().create_task(self.hold(*model))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            raise BundleRefused(f"version {model[1]} of {model[0]!r} is not loaded here yet")
        scorer = self._of(bundle)
        scores = scorer.probability(matrix).astype(np.float64)
        return explained(scorer, scores, matrix, suspect, above)

    async def status(self) -> Status:
        """Return the versions that are held, and why a newer one was refused."""
        detail = f"version {', '.join(self._bundles.versions)}"
        return self._uptime.status(True, detail, self._settings.problem or self._problem)

    def _of(self, bundle: Bundle) -> LogisticModel | BoostedModel:
        raise TypeError(f"{type(self).__name__} names no model of {bundle!r}")


class LogisticRegression(ModelReplica):
    """Scores with the bundle's logistic regression."""

    def _of(self, bundle: Bundle) -> LogisticModel:
        return bundle.lr


class XGBoost(ModelReplica):
    """Scores with the bundle's gradient-boosted trees."""

    def _of(self, bundle: Bundle) -> BoostedModel:
        return bundle.xgb
