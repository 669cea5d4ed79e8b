"""How busy a replica is, and how many replicas that asks for."""

import time
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.serve.config import AutoscalingContext

from deployments.scaling import BusyShare, ByBusyShare


@dataclass
class Clocks:
    """The time on the wall, and the time on the processor, in seconds."""

    wall_s: float = 100.0
    cpu_s: float = 7.0

    def work(self, wall_s: float, cpu_s: float) -> None:
        """Let so much time pass, so much of it on the processor."""
        self.wall_s += wall_s
        self.cpu_s += cpu_s


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(time, "monotonic", lambda: clocks.wall_s)
    monkeypatch.setattr(time, "process_time", lambda: clocks.cpu_s)
    return clocks


def test_the_share_is_that_of_the_time_since_it_was_last_asked(clocks: Clocks) -> None:
    busy = BusyShare()
    clocks.work(2.0, 0.5)
    assert busy.since_last() == 0.25
    clocks.work(4.0, 4.0)
    assert busy.since_last() == 1.0
    clocks.work(8.0, 0.0)
    assert busy.since_last() == 0.0


def test_what_the_process_did_before_does_not_count(clocks: Clocks) -> None:
    clocks.work(1.0, 1.0)
    busy = BusyShare()
    clocks.work(1.0, 0.5)
    assert busy.since_last() == 0.5


def test_asked_twice_in_one_moment_it_says_the_same(clocks: Clocks) -> None:
    busy = BusyShare()
    assert busy.since_last() == 0.0
    clocks.work(2.0, 1.0)
    assert [busy.since_last(), busy.since_last()] == [0.5, 0.5]
    clocks.work(0.0, 0.25)
    assert busy.since_last() == 0.5
    clocks.work(1.0, 0.25)
    assert busy.since_last() == 0.5


def test_several_busy_threads_are_more_than_one_core(clocks: Clocks) -> None:
    busy = BusyShare()
    clocks.work(1.0, 1.5)
    assert busy.since_last() == 1.5


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
        ({"a": 0.75}, 3.0),
    ],
)
def test_as_many_are_wanted_as_bring_the_mean_share_to_the_target(shares: dict[str, float], wanted: float) -> None:
    replicas, state = ByBusyShare(target=0.5)(context(shares))
    assert (replicas, state) == (pytest.approx(wanted), {})


def test_without_a_target_of_its_own_it_is_six_tenths_of_a_core() -> None:
    assert ByBusyShare()(context({"a": 0.9}, current=2))[0] == pytest.approx(3.0)


@given(st.floats(0.01, 0.99), st.lists(st.floats(0, 2), min_size=1, max_size=8))
def test_with_the_wanted_replicas_the_same_work_is_the_target_each(target: float, shares: list[float]) -> None:
    by_replica = {str(number): share for number, share in enumerate(shares)}
    wanted, _ = ByBusyShare(target)(context(by_replica, current=len(shares)))
    assert wanted * target == pytest.approx(sum(shares))


@pytest.mark.parametrize("target", [0, 1, -0.5, 1.5, float("nan")])
def test_a_target_that_is_no_share_of_a_core_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ByBusyShare(target)
