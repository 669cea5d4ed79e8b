from pathlib import Path

import pytest

from cluster.serve_config import read_config
from cluster.settings import PROJECT
from features.errors import ClusterError
from loadtests.chaos import stack_processes
from loadtests.chaos.hosts import faults
from loadtests.chaos.hosts import hosts as hosts_module
from loadtests.chaos.hosts.faults import FAULTS, WORDS, on
from loadtests.chaos.hosts.hosts import Hosts, for_hosts
from loadtests.chaos.hosts.network import Place
from loadtests.chaos.hosts.node import Node
from loadtests.chaos.serve_changes import deployments


class Waiting:
    """Stands for the clock: what was waited for, and what time it is by that."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def monotonic(self) -> float:
        return sum(self.seconds)


def hosts(tmp_path: Path) -> Hosts:
    nodes = [Node(f"node{n}", Place(n), tmp_path / str(n), None if n == 1 else "head:1", {}) for n in (1, 2, 3)]
    return Hosts(nodes[0], tuple(nodes[1:]), "key")


def test_each_worker_has_one_replica_of_each_kind_that_decides() -> None:
    config = read_config(PROJECT / "serve_config.yaml")
    changed = deployments(for_hosts(config))
    for name, one in changed.items():
        if name == "DecisionLog":
            assert "max_replicas_per_node" not in one
            continue
        assert one["max_replicas_per_node"] == 1
        assert one["autoscaling_config"]["min_replicas"] == one["autoscaling_config"]["max_replicas"] == 2


def test_the_log_runs_on_the_head_also_where_that_has_no_cpus() -> None:
    options = deployments(read_config(PROJECT / "serve_config.yaml"))["DecisionLog"]["ray_actor_options"]
    assert options == {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}


def test_clients_may_ask_any_host(tmp_path: Path) -> None:
    assert hosts(tmp_path).urls == ("http://10.77.0.1:8000", "http://10.77.0.2:8000", "http://10.77.0.3:8000")


@pytest.mark.parametrize(("name", "victim"), [("worker", "node3"), ("head", "node1")])
def test_a_host_that_is_lost_stays_away_for_a_while_and_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, victim: str
) -> None:
    told: list[str] = []
    clock = Waiting()
    monkeypatch.setattr(faults, "time", clock)
    monkeypatch.setattr(Node, "kill", lambda node: told.append(f"kill {node.name}"))
    monkeypatch.setattr(Hosts, "make_whole", lambda _: told.append(f"whole after {clock.seconds}"))
    FAULTS[name](hosts(tmp_path))
    assert told == [f"kill {victim}", f"whole after [{faults.AWAY_S}]"]


@pytest.mark.parametrize("left", [0, 1])
def test_replicas_that_outlive_the_raylet_of_their_node_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    told: list[str] = []
    monkeypatch.setattr(faults, "time", Waiting())
    monkeypatch.setattr(Node, "settings", property(lambda node: node.name))
    monkeypatch.setattr(stack_processes, "raylet", lambda node: [f"raylet of {node}"])
    monkeypatch.setattr(stack_processes, "kill", told.extend)
    monkeypatch.setattr(stack_processes, "replicas", lambda _, kind: [kind] * left if kind == "Router" else [])
    monkeypatch.setattr(Hosts, "make_whole", lambda _: told.append("whole"))
    if left:
        with pytest.raises(ClusterError, match=r"after the raylet of their node: {'Router': 1}"):
            FAULTS["raylet"](hosts(tmp_path))
    else:
        FAULTS["raylet"](hosts(tmp_path))
    assert told == ["raylet of node3", *([] if left else ["whole"])]


def test_a_link_is_mended_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugged: list[tuple[str, bool]] = []

    class Broken(Waiting):
        def sleep(self, seconds: float) -> None:
            raise InterruptedError(f"while it waited for {seconds:g} s")

    monkeypatch.setattr(faults, "time", Broken())
    monkeypatch.setattr(faults, "plug", lambda place, on: plugged.append((place.namespace, on)))
    with pytest.raises(InterruptedError):
        FAULTS["link"](hosts(tmp_path))
    assert plugged == [("tghost3", False), ("tghost3", True)]


def test_every_fault_has_words_and_can_be_a_trials(tmp_path: Path) -> None:
    assert FAULTS.keys() == WORDS.keys()
    assert all(callable(on(hosts(tmp_path), name)) for name in FAULTS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    clock = Waiting()
    monkeypatch.setattr(hosts_module, "time", clock)
    return clock


def test_a_node_that_ends_after_its_link_is_back_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Waiting
) -> None:
    gone_at_s, started = 3.0, list[float]()

    def stands(node: Node) -> bool:
        return node.name != "node3" or clock.monotonic() < gone_at_s or bool(started)

    monkeypatch.setattr(Node, "stands", property(stands))
    monkeypatch.setattr(Node, "start", lambda _: started.append(clock.monotonic()))
    monkeypatch.setattr(Hosts, "whole", lambda cluster: all(node.stands for node in cluster.nodes))
    hosts(tmp_path).make_whole()
    assert started == [gone_at_s]
    assert clock.monotonic() >= gone_at_s + hosts_module.STEADY_S


def fails(_: Node) -> None:
    raise ClusterError("Ray was too slow.")


def test_a_cluster_that_stays_broken_is_told_with_the_state_of_its_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Waiting
) -> None:
    monkeypatch.setattr(Node, "stands", property(lambda node: node.name != "node2"))
    monkeypatch.setattr(Node, "start", fails)
    monkeypatch.setattr(Hosts, "whole", lambda _: False)
    with pytest.raises(ClusterError, match=r"node1 stands, node2 is down, node3 stands\. Ray was too slow"):
        hosts(tmp_path).make_whole()
    assert clock.monotonic() > hosts_module.WHOLE_S
