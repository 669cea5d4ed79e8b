"""The router: one call a hop for a whole micro-batch; ensemble, rules, decision, explanation."""

import asyncio
import logging
import os
from functools import partial
from pathlib import Path
from time import time as clock
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from deployments.active_policy import ActivePolicy, active_policy, check_rules
from deployments.breaker import Breaker
from deployments.deadline import HISTORY_SHARE, MODEL_SHARE, RECORD_S, RECORD_SHARE, Deadline, TimeLeft
from deployments.decision import Decisions, Fired, decide, fired_rules
from deployments.explanation import reasons
from deployments.features import FeatureReply
from deployments.garbage import collect_seldom
from deployments.handles import Handle, hot_call, light, settled
from deployments.ledger.folders import data_folder, spool_folder
from deployments.ledger.ledger import Ledger
from deployments.ledger.record import Entry, Header, model_version
from deployments.ledger.spool import Spool
from deployments.links.served import Address, ServedMethod
from deployments.live_settings import LiveSettings
from deployments.metrics import CircuitMetrics, DecisionMetrics
from deployments.model_scores import ModelScores, suspects
from deployments.model_watch import ModelWatch
from deployments.scaling import BusyShare
from deployments.served_bundles import ServedBundles
from deployments.settings import BreakerSettings, PolicySettings
from deployments.status import Status, Uptime, no_answer
from features.definitions import fingerprint
from features.errors import InvalidRule
from features.faults import all_faults
from features.formulas import Matrix, feature_matrix
from features.online import AsyncOnlineStore
from features.store_address import store_url
from features.transaction import TransactionBatch
from features.without_history import without_history

logger = logging.getLogger("ray.serve")

IDLE_S: Final = 60.0
"""Pause between two looks at settings that say not to follow the alias."""
STORE_TIMEOUT_S: Final = 10.0
"""Bound on the store's answer to what no deadline bounds, such as recording what waits in the spool."""


class Router:
    """Walks the graph once a batch and decides. A part that fails is named in ``degraded``, never hidden."""

    def __init__(
        self,
        features: Handle,
        lr: Handle,
        xgb: Handle,
        tracking_uri: str,
        redis_url: str,
        spool: Path | None = None,
        kept: Path | None = None,
    ) -> None:
        collect_seldom()
        circuits = CircuitMetrics()
        self._circuits = {name: Breaker(name, circuits, BreakerSettings()) for name in ("features", "lr", "xgb")}
        self._metrics = DecisionMetrics()
        self._ledger = Ledger(
            AsyncOnlineStore(store_url(redis_url, os.environ), STORE_TIMEOUT_S),
            Spool(spool or spool_folder(data_folder(os.environ))),
            circuits,
            self._metrics.superseded,
        )
        self._parts = {"features": light(features), "lr_model": light(lr), "xgb_model": light(xgb)}
        self._observe = hot_call(self._parts["features"], "observe")
        self._score = {name: hot_call(self._parts[f"{name}_model"], "score") for name in ("lr", "xgb")}
        self._decide = ServedMethod(self.decide)
        self._watch = ModelWatch(
            ServedBundles(tracking_uri, kept), [self._parts["lr_model"], self._parts["xgb_model"]]
        )
        self._changing = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
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
        async with self._changing:
            try:
                check_rules(self._settings.value)
                await self._take(self._settings.value)
            except (InvalidRule, ValidationError) as error:
                self._settings.refuse(all_faults(error) if isinstance(error, ValidationError) else str(error))
                if self._active is None:
                    raise
                return
        self._ledger.start()
        if self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow_alias())

    async def _take(self, settings: PolicySettings) -> None:
        """Decide by these settings and the model that their alias names, from the next batch on."""
        current = None if self._active is None else self._active.model
        model = await self._watch.model(settings.model, current)
        if model is current and self._active is not None and self._active.settings is settings:
            return
        active = active_policy(settings, model)
        for circuit in self._circuits.values():
            circuit.settings = settings.breaker
        self._ledger.take(settings.record, settings.breaker, active.logged)
        self._active = active

    async def _follow_alias(self) -> None:
        while True:
            await asyncio.sleep(self._policy().settings.model_poll_s or IDLE_S)
            if self._policy().settings.model_poll_s:
                async with self._changing:
                    try:
                        await self._take(self._policy().settings)
                    except Exception:
                        logger.exception("the alias cannot be followed; it is tried again")

    async def decide(self, batch: TransactionBatch, include_features: bool, time: TimeLeft) -> Decisions:
        """Return the decisions of a batch, in its order; with the feature matrix when asked for.

        They are on record before they are returned. What did not answer within its share of the time left is done
        without.

        Raises:
            DecisionNotRecorded: neither the log nor the spool takes them.
        """
        policy = self._policy()
        deadline = Deadline(time)
        degraded: list[str] = []
        matrix, has_history = await self._matrix(batch, deadline, degraded)
        rules = policy.rules if has_history else (*policy.rules, *policy.rules_without_history)
        fired = fired_rules(rules, matrix, batch)
        replies = await self._scores(matrix, fired, policy, deadline, degraded)
        lr, xgb = (np.full(len(batch), np.nan) if reply is None else reply.scores for reply in replies)
        versions = ["" if reply is None else policy.model.version for reply in replies]
        decisions = decide(
            lr,
            xgb,
            policy.weights,
            policy.thresholds,
            fired,
            model_version(*versions),
            tuple(degraded),
            policy.calibration,
        )
        rules = (*policy.rules, *policy.rules_without_history)
        decisions.reasons = reasons(decisions, replies, matrix, policy.weights, rules, policy.settings.max_reasons)
        header = Header(
            decided_at_ms=int(clock() * 1000),
            latency_ms=round(deadline.age_s * 1000, 2),
            lr_version=versions[0],
            xgb_version=versions[1],
            degraded=decisions.degraded,
            policy=policy.logged.digest,
            fingerprint=fingerprint(),
            has_history=has_history,
        )
        await self._record(Entry(header, batch, matrix, decisions), deadline)
        if include_features:
            decisions.features = matrix
        return decisions

    async def _record(self, entry: Entry, deadline: Deadline) -> None:
        decisions = entry.decisions
        if not await self._ledger.record(entry, max(RECORD_SHARE * deadline.left_s, RECORD_S)):
            decisions.degraded = (*decisions.degraded, "decision_log")
        self._metrics.decided(decisions)

    def _policy(self) -> ActivePolicy:
        assert self._active is not None  # Serve configures a replica before it gets requests.
        return self._active

    async def _matrix(
        self, batch: TransactionBatch, deadline: Deadline, degraded: list[str]
    ) -> tuple[Matrix, bool]:
        """Return the feature matrix, and whether its history came from the store, which counted the batch."""
        left_s = HISTORY_SHARE * deadline.left_s
        call = self._circuits["features"].call(left_s, lambda: self._observe.remote(batch, left_s))
        [reply] = await settled(call)
        if isinstance(reply, FeatureReply):
            if not reply.has_history:
                degraded.append("feature_store")
            return reply.matrix, reply.has_history
        degraded.append("features")
        return feature_matrix(without_history(batch)), False

    async def _scores(
        self, matrix: Matrix, fired: Fired, policy: ActivePolicy, deadline: Deadline, degraded: list[str]
    ) -> list[ModelScores | None]:
        """Return the answers of LR and XGBoost, None for one that did not answer.

        What will need an explanation is known before: rows where a rule fired, and rows that a model scores
        above what the review threshold asks for, as their weighted mean cannot be above it otherwise.
        """
        suspect = suspects(fired, len(matrix))
        left_s = MODEL_SHARE * deadline.left_s
        replies = await settled(
            *(
                self._circuits[name].call(
                    left_s, partial(score.remote, matrix, suspect, policy.explain_above, policy.model.key)
                )
                for name, score in self._score.items()
            )
        )
        answers: list[ModelScores | None] = []
        for name, reply in zip(self._score, replies, strict=True):
            if not isinstance(reply, ModelScores):
                degraded.append(name)
            answers.append(reply if isinstance(reply, ModelScores) else None)
        return answers

    async def status(self) -> dict[str, Status]:
        """Return the status of the router and of each part and service behind it, by name."""
        asked = {name: part.status for name, part in self._parts.items()}
        asked["feature_store"] = self._parts["features"].store_status
        replies = await settled(*(asyncio.wait_for(status.remote(), 2) for status in asked.values()))
        statuses: dict[str, Status] = {}
        for name, reply in zip(asked, replies, strict=True):
            statuses[name] = no_answer(reply) if isinstance(reply, BaseException) else reply
        poll_s = self._policy().settings.model_poll_s
        asked_seldom = "" if poll_s else "; asked with a new policy alone, as model_poll_s is 0"
        registry = f"{self._watch.registry}{asked_seldom}"
        statuses["registry"] = self._uptime.status(self._watch.registry_answers, registry)
        problem = self._settings.problem or self._watch.problem or self._ledger.problem
        statuses["router"] = self._uptime.status(True, f"version {self._policy().model.version}", problem)
        return statuses

    async def model(self) -> dict[str, Any]:
        """Return what GET /model shows: the served version, its manifest, and the policy over it."""
        policy = self._policy()
        return {
            "name": policy.settings.model.name,
            "alias": policy.settings.model.alias,
            "version": policy.model.version,
            "fingerprint": fingerprint(),
            "bundle": policy.model.bundle.manifest.model_dump(mode="json"),
            "card": policy.model.bundle.card,
            "policy": {
                **policy.settings.model_dump(mode="json"),
                "weights": policy.weights.model_dump(),
                "thresholds": policy.thresholds.model_dump(),
            },
        }
