"""A stand-in for the graph behind the ingress: it decides by the amount alone, and remembers what it saw."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deployments.deadline import TimeLeft
from deployments.decision import Decisions, Earlier, Reason
from features.definitions import FEATURE_NAMES
from features.errors import DecisionUnknown
from features.label import LabelBatch, LabelOutcome
from features.transaction import TransactionBatch


@dataclass
class Graph:
    """Answers a batch: the probability of a transaction is its amount / 1000, at most 1.

    Attributes:
        seen: the transaction ids of each batch.
        asked_for_features: for each batch, whether its features were wanted.
        errors: raised for the batch with this number, in place of an answer.
        gate: when given, each batch waits for it.
        began: set once a first batch came.
        times: the time that each batch had left.
        earlier: by transaction_id, what was decided before.
        conflicts: by transaction_id, the fields in which its body differs from what the id stands for.
    """

    seen: list[list[str]] = field(default_factory=list)
    asked_for_features: list[bool] = field(default_factory=list)
    errors: dict[int, Exception] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    began: asyncio.Event = field(default_factory=asyncio.Event)
    times: list[TimeLeft] = field(default_factory=list)
    earlier: dict[str, Earlier] = field(default_factory=dict)
    conflicts: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def decide(self, batch: TransactionBatch, include_features: bool, time: TimeLeft) -> Decisions:
        """Return the decisions of a batch."""
        self.times.append(time)
        self.seen.append(batch.transaction_id)
        self.asked_for_features.append(include_features)
        self.began.set()
        if self.gate is not None:
            await self.gate.wait()
        if len(self.seen) - 1 in self.errors:
            raise self.errors[len(self.seen) - 1]
        decisions = decisions_of(batch, include_features)
        for row, transaction_id in enumerate(batch.transaction_id):
            if transaction_id in self.earlier:
                decisions.earlier[row] = self.earlier[transaction_id]
            if transaction_id in self.conflicts:
                decisions.conflicts[row] = self.conflicts[transaction_id]
        return decisions


def decisions_of(batch: TransactionBatch, include_features: bool) -> Decisions:
    """Return decisions in which every row is recognisable by its amount."""
    score = np.minimum(batch.amount_minor / 100_000, 1.0)
    blocked = np.flatnonzero(score > 0.9).tolist()
    return Decisions(
        probability=score,
        lr=score,
        xgb=np.full(len(batch), np.nan),
        decision=((score > 0.5).astype(np.int8) + (score > 0.9)).astype(np.int8),
        is_fraud=score >= 0.5,
        rules={row: ["large"] for row in blocked},
        model_version="7",
        degraded=("xgb",),
        reasons={row: [Reason("rule", "large", "it is large")] for row in blocked},
        features=np.tile(score[:, None], len(FEATURE_NAMES)) if include_features else None,
    )


@dataclass(frozen=True)
class Method:
    """One method of a handle."""

    remote: Callable[..., Awaitable[Any]]


@dataclass
class FeaturesHandle:
    """A handle to a features deployment that takes every label as a new one, and remembers it.

    Attributes:
        taken: the labels of each call.
        outcomes: by transaction, where it is not NEW.
        errors: raised for the call with this number.
    """

    taken: list[LabelBatch] = field(default_factory=list)
    outcomes: dict[str, LabelOutcome] = field(default_factory=dict)
    errors: dict[int, Exception] = field(default_factory=dict)

    def options(self, *, request_serialization: str, response_serialization: str) -> "FeaturesHandle":
        """Return itself: nothing is serialised here."""
        assert (request_serialization, response_serialization) == ("pickle", "pickle")
        return self

    @property
    def take_labels(self) -> Method:
        """Return what takes labels."""

        async def take_labels(labels: LabelBatch) -> list[LabelOutcome]:
            self.taken.append(labels)
            if len(self.taken) - 1 in self.errors:
                raise self.errors[len(self.taken) - 1]
            return [self.outcomes.get(name, LabelOutcome.NEW) for name in labels.transaction_id]

        return Method(take_labels)


@dataclass
class RouterHandle:
    """A handle to a router that is no replica; the graph stands behind it."""

    graph: Graph = field(default_factory=Graph)
    served: dict[str, Any] | Exception = field(default_factory=lambda: {"version": "7"})

    def options(self, *, request_serialization: str, response_serialization: str) -> "RouterHandle":
        """Return itself: nothing is serialised here."""
        assert (request_serialization, response_serialization) == ("pickle", "pickle")
        return self

    @property
    def decide(self) -> Method:
        """Return the graph's decision."""
        return Method(self.graph.decide)

    @property
    def model(self) -> Method:
        """Return what is served, or raise it."""

        async def model() -> dict[str, Any]:
            if isinstance(self.served, Exception):
                raise self.served
            return self.served

        return Method(model)


@dataclass
class LogHandle:
    """A handle to a decision log.

    Attributes:
        known: decisions by transaction_id.
        asked: what was asked for, with the day.
    """

    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def options(self, *, request_serialization: str, response_serialization: str) -> "LogHandle":
        """Return itself: nothing is serialised here."""
        assert (request_serialization, response_serialization) == ("pickle", "pickle")
        return self

    @property
    def find(self) -> Method:
        """Return what finds a decision."""

        async def find(transaction_id: str, day: str | None) -> dict[str, Any]:
            self.asked.append((transaction_id, day))
            if transaction_id not in self.known:
                raise DecisionUnknown(f"no decision on {transaction_id!r} is on record")
            return self.known[transaction_id]

        return Method(find)
