"""What the metrics record, by name; Ray's own classes check that they take it."""

from collections.abc import Callable
from typing import Any

import pytest
from ray.util.metrics import Counter, Gauge, Histogram

from deployments import metrics
from deployments.decision import Earlier
from deployments.links.linked_call import CallReport
from deployments.metrics import AccessMetrics, BatchMetrics, DecisionMetrics, LinkMetrics
from features.transaction import Transaction, TransactionBatch
from tests.unit.deployments.graph import decisions_of

Recorded = list[tuple[str, float, dict[str, str]]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """What was recorded, in order: name, value, tags."""
    calls: Recorded = []

    def recorder(original: Callable[..., None]) -> Callable[..., None]:
        def record(metric: Any, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
            original(metric, value, tags)
            calls.append((metric.info["name"], value, tags or {}))

        return record

    for kind, method in ((Counter, "inc"), (Gauge, "set"), (Histogram, "observe")):
        monkeypatch.setattr(kind, method, recorder(getattr(kind, method)))
    return calls


def test_a_batch_that_begins_records_size_wait_in_milliseconds_and_queue(recorded: Recorded) -> None:
    BatchMetrics().began(size=256, waited_s=0.0125, queued=40)
    assert recorded == [
        ("tollgate_batch_size", 256, {}),
        ("tollgate_batch_wait_ms", 12.5, {}),
        ("tollgate_queued_transactions", 40, {}),
    ]


def test_an_empty_queue_and_no_wait_are_recorded_as_well(recorded: Recorded) -> None:
    BatchMetrics().began(size=1, waited_s=0.0, queued=0)
    assert [value for _, value, _ in recorded] == [1, 0.0, 0]


def test_a_batch_that_ends_records_its_time(recorded: Recorded) -> None:
    BatchMetrics().ended(took_s=0.25, failed=False)
    assert recorded == [("tollgate_batch_took_ms", 250.0, {})]


def test_a_batch_that_fails_is_counted_besides(recorded: Recorded) -> None:
    BatchMetrics().ended(took_s=0.25, failed=True)
    assert recorded == [("tollgate_batch_took_ms", 250.0, {}), ("tollgate_failed_batches", 1.0, {})]


def test_a_queue_that_only_expires_is_told_too(recorded: Recorded) -> None:
    BatchMetrics().waiting(3)
    assert recorded == [("tollgate_queued_transactions", 3, {})]


def test_the_calls_of_a_deployment_are_counted_by_their_road(recorded: Recorded) -> None:
    LinkMetrics().report(CallReport("Router.decide", links=2, by_link=7, by_serve=1, repeated=0))
    assert recorded == [
        ("tollgate_links", 2, {"call": "Router.decide"}),
        ("tollgate_calls", 7, {"call": "Router.decide", "road": "link"}),
        ("tollgate_calls", 1, {"call": "Router.decide", "road": "serve"}),
    ]


def test_decisions_are_counted_by_what_they_are_and_rules_by_name(recorded: Recorded) -> None:
    decisions = decisions_of(batch_of([10_000, 60_000, 60_000, 95_000, 95_000, 95_000]), False)
    decisions.degraded = ("lr",)
    decisions.earlier[1] = Earlier("6", ())
    decisions.conflicts[3] = ("amount",)
    DecisionMetrics().decided(decisions)
    assert recorded == [
        ("tollgate_decisions", 1, {"decision": "APPROVE"}),
        ("tollgate_decisions", 1, {"decision": "REVIEW"}),
        ("tollgate_decisions", 2, {"decision": "BLOCK"}),
        ("tollgate_retries", 1, {}),
        ("tollgate_conflicts", 1, {}),
        ("tollgate_fired_rules", 2, {"rule": "large"}),
        ("tollgate_degraded_decisions", 6, {"part": "lr"}),
    ]


def test_a_batch_of_retries_alone_is_no_new_decision(recorded: Recorded) -> None:
    decisions = decisions_of(batch_of([95_000]), False)
    decisions.degraded = ()
    decisions.earlier[0] = Earlier("6", ())
    DecisionMetrics().decided(decisions)
    assert recorded == [("tollgate_retries", 1, {})]


def test_requests_that_are_not_let_in_are_counted_by_status(recorded: Recorded) -> None:
    AccessMetrics().refused(429)
    assert recorded == [("tollgate_refused_requests", 1, {"status": "429"})]


def batch_of(amounts: list[int]) -> TransactionBatch:
    bodies = [{"timestamp": 1_770_000_000, "customer_id": "ann", "amount": minor / 100} for minor in amounts]
    return TransactionBatch.of([Transaction.model_validate(body) for body in bodies])


@pytest.mark.parametrize("why", ["refused", "expired", "abandoned"])
def test_what_is_not_computed_is_counted_by_its_reason(recorded: Recorded, why: str) -> None:
    BatchMetrics().dropped(why, 17)
    assert recorded == [("tollgate_dropped_transactions", 17, {"why": why})]


@pytest.mark.parametrize("boundaries", [metrics.SIZES, metrics.MILLISECONDS])
def test_the_buckets_rise_and_hold_every_bound_that_the_settings_allow(boundaries: list[float]) -> None:
    assert boundaries == sorted(set(boundaries))
    assert boundaries[0] == 1
    assert max(metrics.SIZES) >= 1024  # The largest max_size.
