"""The whole graph in one process: the same parts and the same code, without a call between processes.

For small installations, where a call between replicas costs more than what it is for (docs/adr/0007). Ingress
replicas are then the one thing that scales, models and feature store clients with them.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from deployments.features import Features
from deployments.ingress import Ingress
from deployments.ledger.folders import archive_folder, models_folder, spool_folder
from deployments.ledger.log import DecisionLog
from deployments.live_settings import LiveSettings
from deployments.models import LogisticRegression, XGBoost
from deployments.router import Router
from deployments.settings import FusedSettings


class Fused(Ingress):
    """An ingress whose router, features and models are objects beside it."""

    def __init__(self, redis_url: str, tracking_uri: str, data: Path | None) -> None:
        self._features = Features(redis_url)
        kept = data and models_folder(data)
        self._models = (LogisticRegression(tracking_uri, kept), XGBoost(tracking_uri, kept))
        lr, xgb = self._models
        self._graph = Router(
            InProcess(self._features),
            InProcess(lr),
            InProcess(xgb),
            tracking_uri,
            redis_url,
            data and spool_folder(data),
            kept,
        )
        self._decision_log = DecisionLog(redis_url, data and archive_folder(data))
        super().__init__(InProcess(self._graph), InProcess(self._features), InProcess(self._decision_log))
        self._all_settings = LiveSettings(FusedSettings)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Give each part its section of the settings (:class:`FusedSettings`), all of them or none."""
        if not self._all_settings.take(user_config):
            self._settings.problem = self._all_settings.problem
            return
        settings = self._all_settings.value
        await self._features.reconfigure(settings.features.model_dump())
        await self._decision_log.reconfigure(settings.log.model_dump())
        for model in self._models:
            await model.reconfigure(settings.models.model_dump())
        await self._graph.reconfigure(settings.router.model_dump())
        await super().reconfigure(settings.ingress.model_dump())


class InProcess:
    """Stands for a deployment handle: a call of a method is a call of that method."""

    def __init__(self, part: object) -> None:
        self._part = part

    def options(self, *, request_serialization: str, response_serialization: str) -> Self:  # noqa: ARG002
        """Return itself: nothing is serialised."""
        return self

    def __getattr__(self, name: str) -> "_Method":
        return _Method(getattr(self._part, name))


class _Method:
    def __init__(self, method: Callable[..., Awaitable[Any]]) -> None:
        self.remote = method
