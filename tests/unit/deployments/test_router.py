"""The router over parts that fail: each failure is a named outcome, and none is silence."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import redis

from deployments.deadline import TimeLeft
from deployments.decision import DECISION_NAMES, Decisions
from deployments.features import FeatureReply
from deployments.ledger.entry_id import START
from deployments.ledger.record import Header, Written, columns_of
from deployments.ledger.stream import LogStream
from deployments.model_scores import ModelScores
from deployments.router import Router
from deployments.served_model import ServedModel
from deployments.settings import ModelRef
from features.definitions import FEATURE_NAMES
from features.errors import DecisionNotRecorded
from features.formulas import feature_matrix
from features.online import AsyncOnlineStore
from features.transaction import TransactionBatch
from features.without_history import without_history
from tests.unit.databases import emptied
from tests.unit.deployments.ledger.entries import transactions

DATABASE = 5
PLENTY = TimeLeft(0.0, 60.0)
POLICY = {
    "weights": {"lr": 0.5, "xgb": 0.5},
    "thresholds": {"block": 0.9, "review": 0.5, "fraud": 0.5},
    "rules": [{"id": "huge", "when": "amount > 5000", "reason": "it is huge"}],
    "rules_without_history": [{"id": "blind", "when": "amount > 100", "action": "REVIEW", "reason": "no history"}],
    "breaker": {"failures": 1000},
    "record": {"timeout_ms": 60_000},
}


@dataclass
class Part:
    """A handle to a part of the graph, with one method.

    Attributes:
        name: of the method.
        answer: what it does.
        calls: the arguments of each call.
        error: raised in place of an answer.
        hangs: whether it never answers.
    """

    name: str
    answer: Callable[..., Awaitable[Any]]
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    error: Exception | None = None
    hangs: bool = False

    def options(self, **_: str) -> "Part":
        """Return itself: nothing is serialised here."""
        return self

    def __getattr__(self, name: str) -> Any:
        if name != self.name:
            raise AttributeError(name)
        return SimpleNamespace(remote=self._call)

    async def _call(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return await self.answer(*arguments)


def model(score: float) -> Part:
    async def scores(matrix: Any, suspect: Any, above: float, _: tuple[str, str]) -> ModelScores:
        rows = np.flatnonzero(suspect | (score > above))
        return ModelScores(np.full(len(matrix), score), rows, np.zeros((len(rows), len(FEATURE_NAMES))))

    return Part("score", scores)


class Watch:
    """Says that a version is served: the last of a list."""

    problem = ""

    def __init__(self, versions: list[str]) -> None:
        self._versions = versions

    async def model(self, ref: ModelRef, current: ServedModel | None) -> ServedModel:
        if current is not None and current.version == self._versions[-1]:
            return current
        bundle: Any = SimpleNamespace(manifest=SimpleNamespace(calibration=None))
        return ServedModel(ref.name, self._versions[-1], bundle)


@dataclass
class Graph:
    """A router, and the parts behind it."""

    store: AsyncOnlineStore
    url: str
    folder: Path
    lr: Part = field(default_factory=lambda: model(0.2))
    xgb: Part = field(default_factory=lambda: model(0.6))

    def __post_init__(self) -> None:
        self.features = Part("observe", self._observe)
        self.has_store = True
        self.served = ["7"]
        self.routers: list[Router] = []

    async def _observe(self, batch: TransactionBatch, _: float) -> FeatureReply:
        if not self.has_store:
            return FeatureReply(feature_matrix(without_history(batch)), False)
        return FeatureReply(feature_matrix(await self.store.observe(batch)), True)

    async def router(self, **policy: Any) -> Router:
        """Return a router of its own, as a replica would be."""
        router = Router(self.features, self.lr, self.xgb, "nowhere", self.url, self.folder)
        router._watch = Watch(self.served)  # type: ignore[assignment]
        self.routers.append(router)
        await router.reconfigure(POLICY | policy)
        return router

    async def close(self) -> None:
        """End what the routers began."""
        for router in self.routers:
            for task in (router._following, router._ledger._background):
                if task is not None:
                    task.cancel()
            router._ledger._spool.close()
            await router._ledger._store.close()
        await self.store.close()


@pytest.fixture
def client(valkey_socket: str) -> Any:
    with emptied(valkey_socket, DATABASE) as client:
        yield client


@pytest.fixture
async def graph(client: redis.Redis, tmp_path: Path) -> AsyncIterator[Graph]:
    url = f"unix://{client.get_connection_kwargs()['path']}?db={DATABASE}"
    store = AsyncOnlineStore(url, timeout_s=60)
    graph = Graph(store, url, tmp_path / "spool")
    yield graph
    await graph.close()


def payment(**values: Any) -> TransactionBatch:
    return transactions({"transaction_id": "t1", "amount": 200} | values)


def told(decisions: Decisions) -> tuple[str, float, list[str], tuple[str, ...]]:
    """Return what a client is told of the first row: decision, probability, rules, degraded."""
    return (
        DECISION_NAMES[decisions.decision[0]],
        round(decisions.probability.item(0), 6),
        decisions.rules.get(0, []),
        decisions.degraded,
    )


def logged(client: redis.Redis) -> list[tuple[Header, list[str]]]:
    """Return headers and transactions of the entries in the log."""
    found = []
    for entry in LogStream(client).after(START):
        written = Written.parse(entry.data)
        found.append((written.header, columns_of([written]).column("transaction_id").to_pylist()))
    return found


def counted(client: redis.Redis) -> int:
    """Return how many keys of events the store holds: one a customer."""
    return len(client.keys("*:c:*"))  # type: ignore[arg-type]


async def test_a_whole_graph_decides_and_logs(graph: Graph, client: redis.Redis) -> None:
    decisions = await (await graph.router()).decide(payment(), False, TimeLeft(0.5, 60.0))
    assert told(decisions) == ("APPROVE", 0.4, [], ())
    [(header, ids)] = logged(client)
    assert (ids, header.degraded, header.has_history, header.lr_version) == (["t1"], (), True, "7")
    assert header.latency_ms >= 500
    assert counted(client) == 1


async def test_without_the_store_the_fallback_policy_decides_and_history_is_counted_with_the_record(
    graph: Graph, client: redis.Redis
) -> None:
    graph.has_store = False
    decisions = await (await graph.router()).decide(payment(), True, PLENTY)
    assert told(decisions) == ("REVIEW", 0.4, ["blind"], ("feature_store",))
    assert [reason.text for reason in decisions.reasons[0]] == ["no history"]
    assert decisions.features is not None
    assert logged(client)[0][0].has_history is False
    assert counted(client) == 1


async def test_without_the_feature_deployment_the_same_holds(graph: Graph, client: redis.Redis) -> None:
    graph.features.error = ConnectionError("gone")
    decisions = await (await graph.router()).decide(payment(), False, PLENTY)
    assert told(decisions) == ("REVIEW", 0.4, ["blind"], ("features",))
    assert counted(client) == 1


@pytest.mark.parametrize(("dead", "probability"), [("lr", 0.6), ("xgb", 0.2)])
async def test_without_a_model_the_other_decides(graph: Graph, dead: str, probability: float) -> None:
    getattr(graph, dead).error = ConnectionError("gone")
    _, found, _, degraded = told(await (await graph.router()).decide(payment(), False, PLENTY))
    assert (found, degraded) == (probability, (dead,))


@pytest.mark.parametrize(("amount", "decision"), [(200, "APPROVE"), (6000, "BLOCK")])
async def test_without_both_models_rules_alone_decide(graph: Graph, amount: float, decision: str) -> None:
    graph.lr.error = graph.xgb.error = ConnectionError("gone")
    decisions = await (await graph.router()).decide(payment(amount=amount), False, PLENTY)
    assert told(decisions)[0] == decision
    assert np.isnan(decisions.probability).all()
    assert (decisions.model_version, decisions.degraded) == ("", ("lr", "xgb"))


async def test_a_batch_asks_both_models_for_the_version_that_it_began_with(graph: Graph) -> None:
    router = await graph.router()

    async def promote(batch: TransactionBatch, left_s: float) -> FeatureReply:
        graph.served.append("8")
        await router._take(router._settings.value)
        return await graph._observe(batch, left_s)

    graph.features.answer = promote
    first = await router.decide(payment(), False, PLENTY)
    graph.features.answer = graph._observe
    second = await router.decide(payment(transaction_id="t2"), False, PLENTY)
    assert (first.model_version, second.model_version) == ("7", "8")
    for part in (graph.lr, graph.xgb):
        assert [call[3] for call in part.calls] == [("tollgate", "7"), ("tollgate", "8")]


@pytest.mark.parametrize(("slow", "degraded"), [("features", ("features",)), ("lr", ("lr",)), ("xgb", ("xgb",))])
async def test_what_never_answers_is_done_without_within_the_deadline(
    graph: Graph, slow: str, degraded: tuple[str, ...]
) -> None:
    getattr(graph, slow).hangs = True
    router = await graph.router()
    decisions = await asyncio.wait_for(router.decide(payment(), False, TimeLeft(0.0, 0.5)), 30)
    assert decisions.degraded[:1] == degraded


async def test_the_time_left_shrinks_from_hop_to_hop(graph: Graph) -> None:
    router = await graph.router()
    await router.decide(payment(), False, TimeLeft(0.0, 10.0))
    [(_, left_s)] = graph.features.calls
    assert 0 < left_s < 10


async def test_a_part_that_keeps_failing_is_left_alone(graph: Graph) -> None:
    router = await graph.router(breaker={"failures": 2, "pause_ms": 600_000})
    graph.lr.error = ConnectionError("gone")
    answers = [await router.decide(payment(transaction_id=f"t{n}"), False, PLENTY) for n in range(4)]
    assert len(graph.lr.calls) == 2
    assert {decisions.degraded for decisions in answers} == {("lr",)}


async def test_without_the_log_the_decision_waits_on_disk_and_is_told(
    graph: Graph, client: redis.Redis, tmp_path: Path
) -> None:
    graph.url = f"unix://{tmp_path}/no.sock"
    decisions = await (await graph.router()).decide(payment(), False, PLENTY)
    assert told(decisions) == ("APPROVE", 0.4, [], ("decision_log",))
    assert not logged(client)
    assert list((tmp_path / "spool").iterdir())


async def test_a_decision_that_can_be_recorded_nowhere_is_not_told(graph: Graph, tmp_path: Path) -> None:
    graph.url = f"unix://{tmp_path}/no.sock"
    (tmp_path / "spool").write_text("in the way of the folder")
    with pytest.raises(DecisionNotRecorded):
        await (await graph.router()).decide(payment(), False, PLENTY)


async def test_a_retry_at_another_replica_gets_the_decision_that_stands(graph: Graph, client: redis.Redis) -> None:
    first = await (await graph.router()).decide(payment(), False, PLENTY)  # And is killed before it answers.
    graph.lr, graph.xgb = model(0.95), model(0.99)
    graph.served.append("8")
    again = await (await graph.router()).decide(payment(), False, PLENTY)
    assert told(again) == told(first)
    assert again.earlier[0].model_version == "7"
    assert len(logged(client)) == 1


async def test_a_new_policy_is_logged_under_another_digest(graph: Graph, client: redis.Redis) -> None:
    router = await graph.router()
    await router.decide(payment(), False, PLENTY)
    await router.reconfigure(POLICY | {"rules": []})
    await router.decide(payment(transaction_id="t2"), False, PLENTY)
    digests = [header.policy for header, _ in logged(client)]
    assert len(set(digests)) == 2
    assert set(LogStream(client).references(digests)) == set(digests)


async def test_a_policy_that_does_not_parse_leaves_the_old_one(graph: Graph) -> None:
    router = await graph.router()
    await router.reconfigure(POLICY | {"rules_without_history": [{"id": "x", "when": "amont > 1", "reason": "?"}]})
    assert "amont" in router._settings.problem
    assert told(await router.decide(payment(), False, PLENTY))[0] == "APPROVE"
