import os
import subprocess

import pytest

from features.errors import ClusterError
from loadtests.chaos.hosts import network
from loadtests.chaos.hosts.network import Place, check_able, down_commands, plug, up_commands

PLACES = [Place(1), Place(2)]


@pytest.fixture(autouse=True)
def with_ip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network.shutil, "which", lambda *_, **__: "ip")


def test_each_host_hangs_on_the_bridge_and_has_an_address_and_a_loopback_of_its_own() -> None:
    commands = [" ".join(command) for command in up_commands(PLACES)]
    assert commands[:3] == [
        "ip link add tghosts type bridge",
        "ip addr add 10.77.0.254/24 dev tghosts",
        "ip link set tghosts up",
    ]
    for number in (1, 2):
        host = f"tghost{number}"
        assert f"ip netns add {host}" in commands
        assert f"ip link add tgcable{number} type veth peer name eth0 netns {host}" in commands
        assert f"ip link set tgcable{number} master tghosts" in commands
        assert f"ip -n {host} addr add 10.77.0.{number}/24 dev eth0" in commands
        assert f"ip -n {host} link set lo up" in commands


def test_everything_that_is_made_is_removed() -> None:
    made = {command[3] for command in up_commands(PLACES) if command[1:3] in (["netns", "add"], ["link", "add"])}
    assert {command[3] for command in down_commands(PLACES)} == made


def test_interface_names_fit_into_what_the_kernel_takes() -> None:
    assert all(len(name) <= 15 for name in (network.BRIDGE, Place(99).cable))


def test_a_command_runs_inside_of_its_host() -> None:
    assert PLACES[1].inside(["true"]) == ["ip", "netns", "exec", "tghost2", "true"]


def test_a_cable_is_pulled_at_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(network.subprocess, "run", run)
    plug(PLACES[0], False)
    plug(PLACES[0], True)
    assert [command[-2:] for command in commands] == [["tgcable1", "down"], ["tgcable1", "up"]]


def test_what_fails_is_told_with_the_words_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = subprocess.CompletedProcess([], 1, "", "Operation not permitted\n")
    monkeypatch.setattr(network.subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(ClusterError, match="`ip link set tgcable1 down` failed: Operation not permitted"):
        plug(PLACES[0], False)


def test_without_root_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="root"):
        check_able()


def test_without_iproute2_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(network.shutil, "which", lambda *_, **__: None)
    with pytest.raises(ClusterError, match="iproute2"):
        check_able()


def test_a_network_in_use_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "4711\n", "")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(network.subprocess, "run", run)
    with pytest.raises(ClusterError, match="Processes run in the namespace tghost1"), network.network(2):
        raise AssertionError("it must not be given")
    assert [command[1:3] for command in commands] == [["netns", "pids"]]
