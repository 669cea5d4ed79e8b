"""The two model deployments: each scores a feature matrix, and explains rows of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from deployments.decision import Scores
from deployments.live_settings import LiveSettings
from deployments.served_bundle import ServedBundle
from deployments.settings import ModelSettings
from deployments.status import Status, Uptime
from features.formulas import Matrix


@dataclass(frozen=True, slots=True)
class ModelScores:
    """Scores (n,) of one model, and the version of the bundle that it belongs to."""

    scores: Scores
    version: str


class ModelReplica:
    """What both deployments share: a bundle, reloaded when ``user_config`` names another."""

    def __init__(self, tracking_uri: str) -> None:
        self._settings = LiveSettings(ModelSettings)
        self._served = ServedBundle(tracking_uri)
        self._uptime = Uptime()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Serve the bundle that ``user_config`` names (:class:`ModelSettings`)."""
        if self._settings.take(user_config):
            await self._served.load(self._settings.value.model)

    async def status(self) -> Status:
        """Return the version in service, and why a newer one was refused."""
        served = self._served
        return self._uptime.status(True, f"version {served.version}", self._settings.problem or served.problem)


class LogisticRegression(ModelReplica):
    """Scores with the bundle's logistic regression."""

    async def score(self, matrix: Matrix) -> ModelScores:
        """Return fraud probabilities of a feature matrix (n, features)."""
        return ModelScores(self._served.bundle.lr.probability(matrix), self._served.version)

    async def contributions(self, matrix: Matrix) -> Matrix:
        """Return what each feature adds to the log-odds of each row, (n, features)."""
        return self._served.bundle.lr.contributions(matrix)


class XGBoost(ModelReplica):
    """Scores with the bundle's gradient-boosted trees."""

    async def score(self, matrix: Matrix) -> ModelScores:
        """Return fraud probabilities of a feature matrix (n, features)."""
        scores = self._served.bundle.xgb.probability(matrix).astype(np.float64)
        return ModelScores(scores, self._served.version)

    async def contributions(self, matrix: Matrix) -> Matrix:
        """Return what each feature adds to the log-odds of each row, (n, features)."""
        return self._served.bundle.xgb.contributions(matrix)
