from pathlib import Path

import pytest

from features.errors import ClusterError
from loadtests.chaos.hosts import network
from loadtests.chaos.hosts.network import Place
from loadtests.chaos.hosts.node import Node


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(network.shutil, "which", lambda *_, **__: "ip")
    return Node("worker1", Place(2), tmp_path / "home", "10.77.0.1:6390", {"TOLLGATE_REDIS_URL": "redis://there"})


def test_a_worker_joins_its_head_and_a_head_comes_up(node: Node) -> None:
    assert node.arguments == ["join", "10.77.0.1:6390"]
    assert Node("head", Place(1), node.home, None, {}).arguments == ["up"]


def test_a_command_of_a_host_runs_inside_of_it(node: Node) -> None:
    command = node.command("join", "10.77.0.1:6390")
    assert command[:4] == ["ip", "netns", "exec", "tghost2"]
    assert command[-4:] == ["-m", "cluster", "join", "10.77.0.1:6390"]


def test_a_host_sees_its_own_variables_and_no_others_of_the_product(node: Node) -> None:
    base = {"PATH": "/bin", "TOLLGATE_API_KEY": "x", "RAY_ADDRESS": "x", "MLFLOW_TRACKING_URI": "x"}
    environment = node.environment(base)
    assert environment["PATH"] == "/bin"
    assert environment["TOLLGATE_NODE_ADDRESS"] == "10.77.0.2"
    assert environment["TOLLGATE_HOME"] == str(node.home)
    assert environment["TOLLGATE_REDIS_URL"] == "redis://there"
    assert not {"TOLLGATE_API_KEY", "RAY_ADDRESS", "MLFLOW_TRACKING_URI"} & environment.keys()


def test_a_host_that_was_never_started_has_no_settings(node: Node) -> None:
    with pytest.raises(ClusterError, match="worker1 was never started"):
        _ = node.settings
