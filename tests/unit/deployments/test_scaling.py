"""The measure of how busy a replica is, and the policy that scales by it."""

import threading
import time
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.serve.config import AutoscalingContext, AutoscalingPolicy

from deployments.features import Features
from deployments.ingress import Ingress
from deployments.models import ModelReplica
from deployments.router import Router
from deployments.scaling import METRIC, BusyShare, ByBusyShare, busy_s_of

Shares = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def context(shares: list[float], current: int, target: int | None = None) -> AutoscalingContext:
    """Return what Serve tells a policy: of ``current`` replicas, those with a share have reported."""
    given: dict[str, Any] = dict.fromkeys(AutoscalingContext.__init__.__code__.co_varnames[1:])
    reported = {METRIC: {f"replica {number}": share for number, share in enumerate(shares)}} if shares else {}
    return AutoscalingContext(
        **given
        | {
            "aggregated_metrics": reported,
            "current_num_replicas": current,
            "target_num_replicas": current if target is None else target,
        }
    )


def test_load_above_the_target_asks_for_more_replicas_and_load_below_for_fewer() -> None:
    policy = ByBusyShare(0.5)
    assert policy(context([0.9], 1))[0] == pytest.approx(1.8)
    assert policy(context([0.2, 0.1], 2))[0] == pytest.approx(0.6)


@given(Shares, st.floats(0.05, 0.95))
def test_what_is_asked_for_would_bring_every_replica_to_the_target(shares: list[float], target: float) -> None:
    wanted, _ = ByBusyShare(target)(context(shares, len(shares)))
    assert wanted * target == pytest.approx(sum(shares))


def test_a_replica_that_has_not_reported_yet_asks_for_no_third() -> None:
    assert ByBusyShare(0.5)(context([0.9], 2))[0] <= 2


def test_nothing_is_taken_away_while_a_replica_is_silent() -> None:
    assert ByBusyShare(0.5)(context([0.1], 3))[0] == 3
    assert ByBusyShare(0.5)(context([], 2))[0] == 2
    assert ByBusyShare(0.5)(context([], 0, target=1))[0] == 1


@pytest.mark.parametrize("target", [0, 1, -0.5, 1.5])
def test_a_target_that_no_replica_can_be_held_at_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ByBusyShare(target)


def test_the_policy_survives_the_way_that_serve_keeps_it() -> None:
    policy = AutoscalingPolicy(
        policy_function="deployments.scaling:ByBusyShare", policy_kwargs={"target": 0.5}
    )
    kept = cloudpickle.loads(policy.get_serialized_policy_def())
    assert kept(**policy.policy_kwargs)(context([0.9], 1))[0] == pytest.approx(1.8)


def test_the_share_is_that_of_the_time_since_the_last_question() -> None:
    clock, busy = iter([10.0, 12.0, 16.0]), iter([5.0, 6.0, 9.0])
    share = BusyShare(lambda: next(clock), lambda thread: next(busy))
    assert share.since_last() == 0
    assert share.since_last() == 0.5
    assert share.stats() == {METRIC: 0.75}


def test_asked_twice_in_one_moment_the_share_stays() -> None:
    clock, busy = iter([0.0, 1.0, 1.0]), iter([0.0, 0.5, 0.5])
    share = BusyShare(lambda: next(clock), lambda thread: next(busy))
    assert [share.since_last() for _ in range(3)] == [0, 0.5, 0.5]


def test_only_the_thread_that_asks_is_measured() -> None:
    asked: list[int] = []

    def busy_s(thread: int) -> float:
        asked.append(thread)
        return 0

    BusyShare(busy_s=busy_s).since_last()
    assert asked == [threading.get_native_id()]


def test_a_thread_that_computes_is_busy() -> None:
    own = threading.get_native_id()
    before, cpu = busy_s_of(own), time.thread_time()
    while time.thread_time() < cpu + 0.02:
        pass
    assert busy_s_of(own) - before >= 0.015


@pytest.mark.parametrize("replica", [Features, Ingress, ModelReplica, Router])
async def test_each_part_of_the_graph_reports_how_busy_its_loop_is(replica: type[Any]) -> None:
    # Serve would run a plain function in a thread of its pool, which is not the one to measure.
    part = object.__new__(replica)
    part._busy = BusyShare()
    assert await part.record_autoscaling_stats() == {METRIC: 0}
