"""A Tollgate without Ray: the real scoring, decisions, store and bundle, behind an httpx transport."""

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from deployments.deadline import TimeLeft
from deployments.decision import Decisions, decide, fired_rules
from deployments.hot_route import Answer
from deployments.json_bulk import JsonBulk
from deployments.rules import compile_rules
from deployments.scoring import Scoring
from deployments.settings import IngressSettings, Rule, Thresholds, Weights
from features.definitions import fingerprint
from features.errors import RegistryUnavailable
from features.formulas import Matrix, feature_matrix
from features.online import OnlineStore
from features.transaction import TransactionBatch
from tests.unit.deployments.batches import Account
from training.bundle import Bundle
from training.registry import RegisteredVersion, Registry
from training.scoring_client import ScoringClient


@dataclass
class FakeService(httpx.BaseTransport):
    """Answers as the live service does; its attributes let a test break one thing at a time.

    Attributes:
        ready: whether GET /ready says so; fails: answers with 503 all that is scored.
        skew: added to every feature of the transactions named in ``skewed``.
        degraded: what each answer says was missing.
        paths: what was requested, in order; batches: the transaction ids of each scored batch.
    """

    store: OnlineStore
    bundle: Bundle
    version: str = "1"
    feature_fingerprint: str = field(default_factory=fingerprint)
    ready: bool = True
    fails: bool = False
    skewed: dict[str, float] = field(default_factory=dict)
    lr_offset: float = 0.0
    degraded: tuple[str, ...] = ()
    weights: Weights = field(default_factory=Weights)
    rules: tuple[Rule, ...] = ()
    paths: list[str] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._loop = asyncio.Runner()
        self._scoring = Scoring(self._decide, IngressSettings(deadline_ms=60_000), Account())
        self._bulk = JsonBulk(self._scoring, lambda: self._scoring.settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        self._loop.close()

    def client(self) -> ScoringClient:
        return ScoringClient(httpx.Client(base_url="http://tollgate.test", transport=self))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        match request.url.path:
            case "/ready":
                parts = {"features": {"ok": self.ready, "detail": "the store sleeps"}}
                return httpx.Response(200 if self.ready else 503, json={"dependencies": parts})
            case "/model":
                return httpx.Response(200, json=self._model())
            case "/predict":
                return self._respond(self._scoring.predict(request.read(), request.url.query))
            case "/predict/batch":
                return self._respond(self._bulk.answer(request.read(), request.url.query))
        return httpx.Response(404)

    def _model(self) -> dict[str, Any]:
        policy = {"weights": self.weights.model_dump()}
        return {
            "name": "tollgate",
            "version": self.version,
            "fingerprint": self.feature_fingerprint,
            "policy": policy,
        }

    def _respond(self, answering: Any) -> httpx.Response:
        answer: Answer = self._loop.run(answering)
        if self.fails:
            error = {"code": "overloaded", "message": "too many wait"}
            return httpx.Response(503, json={"error": error})
        return httpx.Response(answer.status, content=answer.body)

    async def _decide(self, batch: TransactionBatch, include_features: bool, _: TimeLeft) -> Decisions:
        self.batches.append(batch.transaction_id)
        matrix = self._observe(batch)
        scores = self.bundle.score(matrix)
        decisions = decide(
            scores.lr + self.lr_offset,
            scores.xgb.astype(float),
            self.weights,
            Thresholds(),
            fired_rules(compile_rules(self.rules), matrix, batch),
            self.version,
            self.degraded,
            self.bundle.manifest.calibration,
        )
        decisions.features = matrix if include_features else None
        return decisions

    def _observe(self, batch: TransactionBatch) -> Matrix:
        matrix = feature_matrix(self.store.observe(batch))
        for row, transaction_id in enumerate(batch.transaction_id):
            matrix[row] += self.skewed.get(transaction_id, 0.0)
        return matrix


class FakeRegistry(Registry):
    """One version under one alias, held in memory."""

    def __init__(self, bundle: Bundle, version: str = "1", alias: str = "champion") -> None:
        super().__init__("fake://")
        self._bundle = bundle
        self._found = RegisteredVersion("tollgate", version, "run")
        self._alias = alias

    def resolve(self, alias_or_version: str, name: str = "tollgate") -> RegisteredVersion:
        if alias_or_version not in (self._alias, self._found.version):
            raise RegistryUnavailable(f"there is no {alias_or_version} of {name}")
        return self._found

    def load(
        self, name: str, alias_or_version: str, expected_fingerprint: str
    ) -> tuple[Bundle, RegisteredVersion]:
        assert expected_fingerprint == fingerprint()
        return self._bundle, self.resolve(alias_or_version, name)
