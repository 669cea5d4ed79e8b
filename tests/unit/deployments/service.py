"""The service behind the scoring routes over a stand-in for the graph, at a fixed time."""

from typing import Any

from deployments.arrow_bulk import ArrowBulk
from deployments.batcher import Observer, stays
from deployments.hot_route import Answer, Gone
from deployments.json_bulk import JsonBulk
from deployments.ndjson import NdjsonBulk
from deployments.scoring import Scoring
from deployments.settings import IngressSettings
from tests.unit.deployments.batches import Account
from tests.unit.deployments.graph import Graph

NOW_S = 1_780_000_000.0  # 2026-05-28


class Service:
    """Answers on every road; ``bounds`` are those of the ingress."""

    def __init__(self, graph: Graph, observer: Observer | None = None, **bounds: Any) -> None:
        patient = {"deadline_ms": 60_000, **bounds}
        self.scoring = Scoring(
            graph.decide, IngressSettings(**patient), observer or Account(), clock=lambda: NOW_S
        )
        self._json = JsonBulk(self.scoring, lambda: self.settings, clock=lambda: NOW_S)
        self._arrow = ArrowBulk(self.scoring, lambda: self.settings, clock=lambda: NOW_S)
        self.ndjson = NdjsonBulk(self.scoring, lambda: self.settings, clock=lambda: NOW_S)

    @property
    def settings(self) -> IngressSettings:
        return self.scoring.settings

    def reconfigure(self, settings: IngressSettings) -> None:
        self.scoring.reconfigure(settings)

    async def predict(self, body: bytes, query: bytes, gone: Gone = stays) -> Answer:
        return await self.scoring.predict(body, query, gone)

    async def predict_batch(self, body: bytes, query: bytes) -> Answer:
        return await self._json.answer(body, query)

    async def predict_arrow(self, body: bytes, query: bytes) -> Answer:
        return await self._arrow.answer(body, query)
