"""The two model deployments: each scores a feature matrix, and explains rows of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deployments.decision import Scores
from deployments.garbage import collect_seldom
from deployments.links.served import Address, ServedMethod
from deployments.live_settings import LiveSettings
from deployments.scaling import BusyShare
from deployments.served_bundle import ServedBundle
from deployments.settings import ModelSettings
from deployments.status import Status, Uptime
from features.formulas import Matrix
from features.transaction import Int64s
from training.registry import BoostedModel, LogisticModel


@dataclass(frozen=True, slots=True)
class ModelScores:
    """What one model says of a batch of n transactions.

    Attributes:
        scores: (n,) fraud probabilities.
        rows: (m,) the rows that are explained.
        contributions: (m, features) what each feature adds to the log-odds of those rows.
        version: of the bundle that the model belongs to.
    """

    scores: Scores
    rows: Int64s
    contributions: Matrix
    version: str


class ModelReplica:
    """What both deployments share: a bundle, reloaded when ``user_config`` names another."""

    def __init__(self, tracking_uri: str) -> None:
        collect_seldom()
        self._settings = LiveSettings(ModelSettings)
        self._served = ServedBundle(tracking_uri)
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
        """Serve the bundle that ``user_config`` names (:class:`ModelSettings`)."""
        if self._settings.take(user_config):
            await self._served.load(self._settings.value.model)

    async def score(self, matrix: Matrix, suspect: npt.NDArray[np.bool_], above: float) -> ModelScores:
        """Return the scores of a feature matrix (n, features), and explain the rows that need it.

        Scores and contributions come in one answer, because a second call would cost more than both.

        Args:
            suspect: (n,) rows to explain whatever their score.
            above: rows are explained, too, when they score above it.
        """
        model = self._model()
        scores = model.probability(matrix).astype(np.float64)
        rows = np.flatnonzero(suspect | (scores > above))
        contributions = model.contributions(matrix[rows]) if len(rows) else np.empty((0, matrix.shape[1]))
        return ModelScores(scores, rows, contributions, self._served.version)

    async def status(self) -> Status:
        """Return the version in service, and why a newer one was refused."""
        served = self._served
        return self._uptime.status(True, f"version {served.version}", self._settings.problem or served.problem)

    def _model(self) -> LogisticModel | BoostedModel:
        raise TypeError(f"{type(self).__name__} names no model of the bundle")


class LogisticRegression(ModelReplica):
    """Scores with the bundle's logistic regression."""

    def _model(self) -> LogisticModel:
        return self._served.bundle.lr


class XGBoost(ModelReplica):
    """Scores with the bundle's gradient-boosted trees."""

    def _model(self) -> BoostedModel:
        return self._served.bundle.xgb
