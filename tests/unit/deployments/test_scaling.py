"""How busy a replica is, and how many replicas that asks for."""

import threading
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.serve.config import AutoscalingContext, AutoscalingPolicy

from deployments import scaling
from deployments.features import Features
from deployments.ingress import Ingress
from deployments.metrics import BatchMetrics
from deployments.models import ModelReplica
from deployments.router import Router
from deployments.scaling import METRIC, BusyShare, ByBusyShare, busy_s_of
from deployments.scoring import Scoring
from deployments.settings import IngressSettings


class Clocks:
    """The time on the wall, and the time in which a thread was busy, in seconds."""

    def __init__(self) -> None:
        self.wall_s, self.busy_s = 100.0, 7.0

    def work(self, wall_s: float, busy_s: float) -> None:
        """Let so much time pass, the thread being busy for so much of it."""
        self.wall_s += wall_s
        self.busy_s += busy_s

    def share(self) -> BusyShare:
        """Return a measure that goes by these clocks."""
        return BusyShare(lambda: self.wall_s, lambda _: self.busy_s)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_the_share_is_that_of_the_time_since_it_was_last_asked(clocks: Clocks) -> None:
    busy = clocks.share()
    busy.since_last()
    for wall_s, busy_s, share in ((2.0, 0.5, 0.25), (4.0, 4.0, 1.0), (8.0, 0.0, 0.0)):
        clocks.work(wall_s, busy_s)
        assert busy.since_last() == share


def test_what_a_replica_did_until_it_was_first_asked_is_no_load(clocks: Clocks) -> None:
    busy = clocks.share()
    clocks.work(1.0, 1.0)
    assert busy.since_last() == 0
    clocks.work(1.0, 0.5)
    assert busy.since_last() == 0.5


def test_asked_twice_in_one_moment_it_says_the_same(clocks: Clocks) -> None:
    busy = clocks.share()
    assert busy.since_last() == 0.0
    clocks.work(2.0, 1.0)
    assert [busy.since_last(), busy.since_last()] == [0.5, 0.5]


def test_the_measure_is_of_the_thread_that_asks() -> None:
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


def test_time_in_which_a_thread_waits_for_a_core_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "schedstat").write_text("2000000000 500000000 77\n")
    monkeypatch.setattr(scaling, "Path", lambda _: tmp_path / "schedstat")
    assert busy_s_of(1) == 2.5


def test_where_the_system_does_not_tell_it_is_the_cpu_time_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaling, "Path", lambda _: tmp_path / "missing")
    before = time.process_time()
    assert before <= busy_s_of(1) <= time.process_time()


@pytest.mark.parametrize(("waited", "reported"), [(0.0, 0.5), (0.4, 0.5), (0.8, 0.8), (3.0, 1.0)])
def test_a_replica_reports_what_it_runs_out_of_first(clocks: Clocks, waited: float, reported: float) -> None:
    busy = clocks.share()
    busy.since_last()
    clocks.work(2.0, 1.0)
    assert busy.stats(waited) == {METRIC: reported}


@pytest.mark.parametrize("replica", [Features, ModelReplica, Router])
async def test_each_part_of_the_graph_reports_how_busy_its_loop_is(replica: type[Any]) -> None:
    # Async, as Serve would run a plain function in a thread of its pool, which is not the one to measure.
    part = object.__new__(replica)
    part._busy = BusyShare()
    assert await part.record_autoscaling_stats() == {METRIC: 0}


async def test_an_ingress_whose_transactions_wait_is_busy_although_its_loop_is_not(clocks: Clocks) -> None:
    ingress: Any = object.__new__(Ingress)
    ingress._busy, ingress._metrics = clocks.share(), BatchMetrics()
    ingress._scoring = Scoring(ingress._decide, IngressSettings(max_wait_ms=1000), ingress._metrics)
    ingress._metrics.began(size=3, waited_s=0.75, queued=0)
    ingress._metrics.began(size=1, waited_s=0.25, queued=0)
    assert await ingress.record_autoscaling_stats() == {METRIC: 0.75}
    assert await ingress.record_autoscaling_stats() == {METRIC: 0}


def context(shares: dict[str, float] | None, current: int = 2, target: int = 3) -> AutoscalingContext:
    """Return what Serve hands to a policy, with the busy shares of the replicas; None when it has no metrics."""
    of_no_interest: dict[str, Any] = {
        "deployment_id": None,
        "deployment_name": "Router",
        "app_name": "tollgate",
        "running_replicas": [],
        "total_num_requests": 1e6,
        "total_queued_requests": 1e6,
        "raw_metrics": None,
        "capacity_adjusted_min_replicas": 1,
        "capacity_adjusted_max_replicas": 10,
        "policy_state": {"kept": "elsewhere"},
        "last_scale_up_time": None,
        "last_scale_down_time": None,
        "current_time": None,
        "config": None,
    }
    return AutoscalingContext(
        current_num_replicas=current,
        target_num_replicas=target,
        aggregated_metrics=None if shares is None else {"busy": shares},  # type: ignore[arg-type]
        **of_no_interest,
    )


@pytest.mark.parametrize("shares", [None, {}])
def test_while_no_replica_has_said_how_busy_it_is_the_target_stays(shares: dict[str, float] | None) -> None:
    assert ByBusyShare()(context(shares, current=1, target=4)) == (4, {})


def test_other_metrics_alone_change_nothing() -> None:
    others = context(None, target=4)
    others.aggregated_metrics = {"waiting": {"a": 9.0}}
    assert ByBusyShare()(others) == (4, {})


@pytest.mark.parametrize(
    ("shares", "wanted"),
    [
        ({"a": 0.5, "b": 0.5}, 2.0),
        ({"a": 0.9, "b": 0.1}, 2.0),
        ({"a": 1.0, "b": 1.0}, 4.0),
        ({"a": 0.25, "b": 0.25}, 1.0),
        ({"a": 0.0, "b": 0.0}, 0.0),
    ],
)
def test_as_many_are_wanted_as_bring_the_share_of_each_to_the_target(
    shares: dict[str, float], wanted: float
) -> None:
    replicas, state = ByBusyShare(target=0.5)(context(shares))
    assert (replicas, state) == (pytest.approx(wanted), {})


def test_without_a_target_of_its_own_it_is_six_tenths_of_a_core() -> None:
    assert ByBusyShare()(context({"a": 0.9}, current=1, target=1))[0] == pytest.approx(1.5)


@given(st.floats(0.01, 0.99), st.lists(st.floats(0, 2), min_size=1, max_size=8))
def test_with_the_wanted_replicas_the_same_work_is_the_target_each(target: float, shares: list[float]) -> None:
    by_replica = {str(number): share for number, share in enumerate(shares)}
    wanted, _ = ByBusyShare(target)(context(by_replica, current=len(shares)))
    assert wanted * target == pytest.approx(sum(shares))


@pytest.mark.parametrize("target", [0, 1, -0.5, 1.5, float("nan")])
def test_a_target_that_is_no_share_of_a_core_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ByBusyShare(target)


def test_a_replica_that_has_not_reported_yet_asks_for_no_third() -> None:
    assert ByBusyShare(0.5)(context({"a": 0.9}, current=2, target=2))[0] == 2


def test_nothing_is_taken_away_while_a_replica_is_silent() -> None:
    assert ByBusyShare(0.5)(context({"a": 0.1, "b": 0.1}, current=3, target=3))[0] == 3
    assert ByBusyShare(0.5)(context({"a": 0.1, "b": 0.1, "c": 0.1}, current=3, target=3))[0] < 1


def test_the_policy_survives_the_way_in_which_serve_keeps_it() -> None:
    policy = AutoscalingPolicy(policy_function="deployments.scaling:ByBusyShare", policy_kwargs={"target": 0.5})
    kept = cloudpickle.loads(policy.get_serialized_policy_def())
    assert kept(**policy.policy_kwargs)(context({"a": 0.9}, current=1, target=1))[0] == pytest.approx(1.8)
