"""The router: one call a hop for a whole micro-batch; ensemble, rules, decision, explanation."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import numpy as np
from ray.serve.handle import DeploymentHandle

from deployments.decision import Decision, Decisions, Scores, decide
from deployments.explanation import explain
from deployments.features import FeatureReply, without_history
from deployments.models import ModelScores
from deployments.rules import CompiledRule, compile_rules
from deployments.served_bundle import ServedBundle
from deployments.settings import PolicySettings, Thresholds, Weights
from deployments.status import Status, Uptime, no_answer
from features.definitions import fingerprint
from features.errors import InvalidRule
from features.formulas import Matrix, feature_matrix
from features.transaction import TransactionBatch

logger = logging.getLogger("ray.serve")


class Router:
    """Walks the graph once a batch and decides. A part that fails is named in ``degraded``, never hidden."""

    def __init__(
        self,
        features: DeploymentHandle[Any],
        lr: DeploymentHandle[Any],
        xgb: DeploymentHandle[Any],
        tracking_uri: str,
    ) -> None:
        self._features = light(features)
        self._lr = light(lr)
        self._xgb = light(xgb)
        self._served = ServedBundle(tracking_uri)
        self._policy: PolicySettings | None = None
        self._rules: tuple[CompiledRule, ...] = ()
        self._policy_problem = ""
        self._uptime = Uptime()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take a new policy (:class:`PolicySettings`) in place; a rule that does not compile changes nothing.

        Raises:
            InvalidRule: in the first policy; later the old policy stays and GET /ready says why.
        """
        policy = PolicySettings.model_validate(user_config)
        await self._served.load(policy.model)
        try:
            rules = compile_rules(policy.rules)
        except InvalidRule as error:
            if self._policy is None:
                raise
            self._policy_problem = f"the new policy was not taken, the old one stays: {error}"
            logger.error(self._policy_problem)
            return
        self._policy, self._rules, self._policy_problem = policy, rules, ""

    async def decide(self, batch: TransactionBatch, include_features: bool) -> Decisions:
        """Return the decisions of a batch, in its order; with the feature matrix when asked for."""
        assert self._policy is not None
        degraded: list[str] = []
        matrix = await self._matrix(batch, degraded)
        lr, xgb, version = await self._scores(matrix, degraded)
        decisions = decide(
            lr,
            xgb,
            self._weights(),
            self._thresholds(),
            self._rules,
            matrix,
            batch,
            version,
            tuple(degraded),
        )
        await self._explain(decisions, matrix)
        if include_features:
            decisions.features = matrix
        return decisions

    async def _matrix(self, batch: TransactionBatch, degraded: list[str]) -> Matrix:
        [reply] = await settled(self._features.observe.remote(batch))
        if isinstance(reply, FeatureReply):
            if not reply.has_history:
                degraded.append("feature_store")
            return reply.matrix
        _log_failure("features", reply)
        degraded.append("features")
        return feature_matrix(without_history(batch))

    async def _scores(self, matrix: Matrix, degraded: list[str]) -> tuple[Scores, Scores, str]:
        replies = await settled(self._lr.score.remote(matrix), self._xgb.score.remote(matrix))
        columns: list[Scores] = []
        versions: list[str] = []
        for name, reply in zip(("lr", "xgb"), replies, strict=True):
            if isinstance(reply, ModelScores):
                columns.append(reply.scores)
                versions.append(reply.version)
            else:
                _log_failure(name, reply)
                degraded.append(name)
                columns.append(np.full(len(matrix), np.nan))
        if len(set(versions)) > 1:
            # For the moment between two replicas' reloads. The scores are good, but of two bundles.
            degraded.append("model_version")
        return columns[0], columns[1], "+".join(sorted(set(versions)))

    def _weights(self) -> Weights:
        assert self._policy is not None
        return self._policy.weights or Weights(**self._served.bundle.manifest.ensemble.model_dump())

    def _thresholds(self) -> Thresholds:
        assert self._policy is not None
        return self._policy.thresholds or Thresholds(**self._served.bundle.manifest.thresholds.model_dump())

    async def _explain(self, decisions: Decisions, matrix: Matrix) -> None:
        """Give reasons to every row that is not approved; the models are asked for those rows alone."""
        assert self._policy is not None
        rows = np.flatnonzero(decisions.decision != Decision.APPROVE)
        if not len(rows):
            return
        values = matrix[rows]
        weights = self._weights()
        replies = await settled(self._lr.contributions.remote(values), self._xgb.contributions.remote(values))
        total = np.zeros_like(values)
        for name, weight, reply in zip(("lr", "xgb"), (weights.lr, weights.xgb), replies, strict=True):
            if isinstance(reply, np.ndarray):
                total += weight * reply
            elif name not in decisions.degraded:
                _log_failure(name, reply)
                decisions.degraded = (*decisions.degraded, f"explanation_{name}")
        by_id = {rule.id: rule for rule in self._rules}
        for position, row in enumerate(rows.tolist()):
            decisions.reasons[row] = explain(
                decisions.rules.get(row, []),
                by_id,
                total[position],
                values[position],
                self._policy.max_reasons,
            )

    async def status(self) -> dict[str, Status]:
        """Return the status of the router and of each part behind it, by name."""
        names = ("features", "lr_model", "xgb_model")
        parts = (self._features, self._lr, self._xgb)
        replies = await settled(*(asyncio.wait_for(part.status.remote(), 2) for part in parts))
        statuses: dict[str, Status] = {}
        for name, reply in zip(names, replies, strict=True):
            statuses[name] = no_answer(reply) if isinstance(reply, BaseException) else reply
        problem = self._policy_problem or self._served.problem
        statuses["router"] = self._uptime.status(not problem, problem or f"version {self._served.version}")
        return statuses

    async def model(self) -> dict[str, Any]:
        """Return what GET /model shows: the served version, its manifest, and the policy over it."""
        assert self._policy is not None
        return {
            "name": self._policy.model.name,
            "alias": self._policy.model.alias,
            "version": self._served.version,
            "fingerprint": fingerprint(),
            "bundle": self._served.bundle.manifest.model_dump(mode="json"),
            "policy": self._policy.model_dump(mode="json"),
        }


async def settled(*calls: Awaitable[Any]) -> list[Any]:
    """Return what each call returned or raised, in order, once all have ended."""
    return list(await asyncio.gather(*calls, return_exceptions=True))


def light(handle: DeploymentHandle[Any]) -> DeploymentHandle[Any]:
    """Return the handle with the C pickler of the standard library, which is several times faster here.

    Only columns and arrays travel, nothing that needs cloudpickle.
    """
    return handle.options(request_serialization="pickle", response_serialization="pickle")


def _log_failure(name: str, error: object) -> None:
    logger.error("%s did not answer: %r", name, error)
