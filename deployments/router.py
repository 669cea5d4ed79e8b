"""The router: one call a hop for a whole micro-batch; ensemble, rules, decision, explanation."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from pydantic import ValidationError
from ray.serve.handle import DeploymentHandle

from deployments.decision import Decision, Decisions, Fired, decide, fired_rules
from deployments.explanation import explain
from deployments.features import FeatureReply, without_history
from deployments.garbage import collect_seldom
from deployments.links.linked_call import LinkedCall
from deployments.links.served import Address, ServedMethod
from deployments.live_settings import LiveSettings
from deployments.metrics import LinkMetrics
from deployments.models import ModelScores
from deployments.rules import CompiledRule, compile_rules
from deployments.scaling import BusyShare
from deployments.served_bundle import ServedBundle
from deployments.settings import PolicySettings, Thresholds, Weights
from deployments.status import Status, Uptime, no_answer
from features.definitions import fingerprint
from features.errors import InvalidRule
from features.formulas import Matrix, feature_matrix
from features.transaction import TransactionBatch
from training.registry import Calibration

logger = logging.getLogger("ray.serve")


class Handle(Protocol):
    """What the graph needs of a deployment handle, or of what stands for one (:mod:`deployments.fused`)."""

    def options(self, *, request_serialization: str, response_serialization: str) -> Any:
        """Return a handle that serialises so."""


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """What a batch is decided by, from its first hop to its last: a change waits for the next batch.

    Attributes:
        calibration: of the served bundle.
        explain_above: a model's score above which it explains a row. Without a score above it, the calibrated mean
            cannot be above the review threshold.
    """

    settings: PolicySettings
    rules: tuple[CompiledRule, ...]
    weights: Weights
    thresholds: Thresholds
    calibration: Calibration | None
    explain_above: float


class Router:
    """Walks the graph once a batch and decides. A part that fails is named in ``degraded``, never hidden."""

    def __init__(
        self,
        features: Handle,
        lr: Handle,
        xgb: Handle,
        tracking_uri: str,
    ) -> None:
        collect_seldom()
        self._parts = {"features": light(features), "lr_model": light(lr), "xgb_model": light(xgb)}
        self._observe = hot_call(self._parts["features"], "observe")
        self._score = tuple(hot_call(self._parts[name], "score") for name in ("lr_model", "xgb_model"))
        self._decide = ServedMethod(self.decide)
        self._served = ServedBundle(tracking_uri)
        self._settings = LiveSettings(PolicySettings)
        self._active: ActivePolicy | None = None
        self._uptime = Uptime()
        self._busy = BusyShare()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what the autoscaling policy goes by. Async, so that Serve asks on the event loop."""
        return self._busy.stats()

    async def link_address(self) -> Address:
        """Return where ingresses on this machine call :meth:`decide`."""
        return await self._decide.address()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new policy (:class:`PolicySettings`) in place; one that is not valid changes nothing.

        Raises:
            InvalidRule, ValidationError, BundleRefused, RegistryUnavailable: in the first policy; later the
                old one stays, and GET /ready says why.
        """
        if not self._settings.take(user_config):
            return
        settings = self._settings.value
        try:
            rules = compile_rules(settings.rules)
            await self._served.load(settings.model)
            manifest = self._served.bundle.manifest
            weights = settings.weights or Weights(**manifest.ensemble.model_dump())
            thresholds = settings.thresholds or Thresholds(**manifest.thresholds.model_dump())
            calibration = manifest.calibration
        except (InvalidRule, ValidationError) as error:
            self._settings.refuse(str(error))
            if self._active is None:
                raise
            return
        above = thresholds.review if calibration is None else calibration.highest_score(thresholds.review)
        self._active = ActivePolicy(settings, rules, weights, thresholds, calibration, above)

    async def decide(self, batch: TransactionBatch, include_features: bool) -> Decisions:
        """Return the decisions of a batch, in its order; with the feature matrix when asked for."""
        policy = self._policy()
        degraded: list[str] = []
        matrix = await self._matrix(batch, degraded)
        fired = fired_rules(policy.rules, matrix, batch)
        replies = await self._scores(matrix, fired, policy, degraded)
        lr, xgb = (np.full(len(batch), np.nan) if reply is None else reply.scores for reply in replies)
        version = "+".join(sorted({reply.version for reply in replies if reply is not None}))
        decisions = decide(
            lr, xgb, policy.weights, policy.thresholds, fired, version, tuple(degraded), policy.calibration
        )
        _explain(decisions, replies, matrix, policy)
        if include_features:
            decisions.features = matrix
        return decisions

    def _policy(self) -> ActivePolicy:
        assert self._active is not None  # Serve configures a replica before it gets requests.
        return self._active

    async def _matrix(self, batch: TransactionBatch, degraded: list[str]) -> Matrix:
        [reply] = await settled(self._observe.remote(batch))
        if isinstance(reply, FeatureReply):
            if not reply.has_history:
                degraded.append("feature_store")
            return reply.matrix
        _log_failure("features", reply)
        degraded.append("features")
        return feature_matrix(without_history(batch))

    async def _scores(
        self, matrix: Matrix, fired: Fired, policy: ActivePolicy, degraded: list[str]
    ) -> list[ModelScores | None]:
        """Return the answers of LR and XGBoost, None for one that did not answer.

        What will need an explanation is known before: rows where a rule fired, and rows that a model scores
        above what the review threshold asks for, as their weighted mean cannot be above it otherwise.
        """
        suspect = np.zeros(len(matrix), np.bool_)
        for _, rows in fired:
            suspect |= rows
        replies = await settled(*(score.remote(matrix, suspect, policy.explain_above) for score in self._score))
        answers: list[ModelScores | None] = []
        for name, reply in zip(("lr", "xgb"), replies, strict=True):
            if not isinstance(reply, ModelScores):
                _log_failure(name, reply)
                degraded.append(name)
            answers.append(reply if isinstance(reply, ModelScores) else None)
        if len({answer.version for answer in answers if answer is not None}) > 1:
            # For the moment between two replicas' reloads. The scores are good, but of two bundles.
            degraded.append("model_version")
        return answers

    async def status(self) -> dict[str, Status]:
        """Return the status of the router and of each part behind it, by name."""
        replies = await settled(*(asyncio.wait_for(part.status.remote(), 2) for part in self._parts.values()))
        statuses: dict[str, Status] = {}
        for name, reply in zip(self._parts, replies, strict=True):
            statuses[name] = no_answer(reply) if isinstance(reply, BaseException) else reply
        problem = self._settings.problem or self._served.problem
        statuses["router"] = self._uptime.status(True, f"version {self._served.version}", problem)
        return statuses

    async def model(self) -> dict[str, Any]:
        """Return what GET /model shows: the served version, its manifest, and the policy over it."""
        policy = self._policy()
        return {
            "name": policy.settings.model.name,
            "alias": policy.settings.model.alias,
            "version": self._served.version,
            "fingerprint": fingerprint(),
            "bundle": self._served.bundle.manifest.model_dump(mode="json"),
            "card": self._served.bundle.card,
            "policy": {
                **policy.settings.model_dump(mode="json"),
                "weights": policy.weights.model_dump(),
                "thresholds": policy.thresholds.model_dump(),
            },
        }


def _explain(
    decisions: Decisions, replies: list[ModelScores | None], matrix: Matrix, policy: ActivePolicy
) -> None:
    """Give reasons to every row that is not approved, from its rules and from the models that flagged it."""
    flagged = np.flatnonzero(decisions.decision != Decision.APPROVE)
    if not len(flagged):
        return
    total = np.zeros_like(matrix)
    for weight, reply in zip((policy.weights.lr, policy.weights.xgb), replies, strict=True):
        if reply is not None:
            total[reply.rows] += weight * reply.contributions
    by_id = {rule.id: rule for rule in policy.rules}
    limit = policy.settings.max_reasons
    for row in flagged.tolist():
        decisions.reasons[row] = explain(decisions.rules.get(row, []), by_id, total[row], matrix[row], limit)


async def settled(*calls: Awaitable[Any]) -> list[Any]:
    """Return what each call returned or raised, in order, once all have ended."""
    return list(await asyncio.gather(*calls, return_exceptions=True))


def hot_call(handle: Any, method: str) -> Any:
    """Return the method of a handle that is called once a batch; over links, if it is another process's."""
    return (
        LinkedCall(handle, method, LinkMetrics().report)
        if isinstance(handle, DeploymentHandle)
        else getattr(handle, method)
    )


def light(handle: Handle) -> Any:
    """Return the handle with the C pickler of the standard library, which is several times faster here.

    Only columns and arrays travel, nothing that needs cloudpickle.
    """
    return handle.options(request_serialization="pickle", response_serialization="pickle")


def _log_failure(name: str, error: object) -> None:
    logger.error("%s did not answer: %r", name, error)
