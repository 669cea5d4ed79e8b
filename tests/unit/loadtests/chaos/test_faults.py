"""Faults on processes: the right one is struck, and a stack without it is told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.processes import COMPONENT, MARK, RAY, VALKEY
from cluster.settings import ClusterSettings
from features.errors import ClusterError
from loadtests.chaos import faults, stack_processes
from loadtests.chaos.faults import FAULTS, Scene, frozen

READY = 'print("ready", flush=True); import sys; sys.stdin.read()'
NAMES = ("ingress", "router", "features", "lr", "xgb", "log", "haproxy", "controller", "store", "store_frozen")


class Processes:
    """Starts processes of a stack, and ends them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, title: str, component: str = RAY) -> psutil.Process:
        """Start a process with a title, and return it once it has it."""
        started = subprocess.Popen(
            [title, "-c", READY],  # A program goes by its first argument, as a replica does by its title.
            executable=sys.executable,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={MARK: str(self._home), COMPONENT: component, "PATH": "/usr/bin"},
        )
        self._started.append(started)
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        return psutil.Process(started.pid)

    def end(self) -> None:
        """End and reap all of them."""
        for started in self._started:
            started.kill()
            started.communicate()


@pytest.fixture
def settings(tmp_path: Path) -> ClusterSettings:
    return ClusterSettings(home=tmp_path, config=tmp_path / "serve_config.yaml")


@pytest.fixture
def process(settings: ClusterSettings) -> Iterator[Processes]:
    processes = Processes(settings.home)
    yield processes
    processes.end()


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_the_oldest_replica_of_the_kind_that_is_meant_is_killed(
    settings: ClusterSettings, process: Processes
) -> None:
    oldest, younger = (process("ray::ServeReplica:tollgate:Router") for _ in range(2))
    other = process("ray::ServeReplica:tollgate:Features")
    assert stack_processes.replicas(settings, "Router") == [oldest, younger]
    FAULTS["router"](Scene(settings, lambda _: None))
    assert [alive(one) for one in (oldest, younger, other)] == [False, True, True]


def test_a_frozen_process_goes_on_afterwards(settings: ClusterSettings, process: Processes) -> None:
    process("valkey-server", VALKEY)
    [store] = stack_processes.store(settings)
    with frozen(store):
        _, status = os.waitpid(store.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
    _, status = os.waitpid(store.pid, os.WCONTINUED)
    assert os.WIFCONTINUED(status)


@pytest.mark.parametrize("name", NAMES)
def test_where_there_is_nothing_to_strike_the_fault_says_so(
    settings: ClusterSettings, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "VICTIM_S", 0.0)
    with pytest.raises(ClusterError, match="There is no "):
        FAULTS[name](Scene(settings, lambda _: None))
