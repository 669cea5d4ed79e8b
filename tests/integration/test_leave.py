import io
import sys

import pytest
from rich.console import Console

from cluster import leave as leaving
from cluster.hosts import Hosts
from cluster.leave import drain_command, leave, replicas
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from cluster.worker import node_id
from tests.unit.cluster.conftest import WAITING, Start

AS = "import os, sys; os.execv(sys.executable, [{title!r}, '-c', {program!r}, {argument!r}])"
REPLICA = AS.format(title="ray::ServeReplica:tollgate:Router", program=WAITING, argument="")


@pytest.fixture
def worker(settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch) -> ClusterSettings:
    monkeypatch.setattr(leaving.worker, "is_up", lambda _: True)
    hosts = Hosts(node_address="10.0.0.2", head_address="10.0.0.1:6390")
    return settings.model_copy(update={"hosts": hosts})


def left(settings: ClusterSettings, head: str, drain_s: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Return how many processes a leaving node stopped, and what it said; its head is a program."""
    monkeypatch.setattr(leaving, "drain_command", lambda *_: [sys.executable, "-c", head])
    said = io.StringIO()
    result = leave(settings, {}, Steps(Console(file=said, width=200)), drain_s)
    return result.stopped, said.getvalue()


def test_a_node_stops_once_its_replicas_have_gone(
    worker: ClusterSettings, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    raylet, replica = start(home=worker.home), start(home=worker.home, program=REPLICA)
    assert replicas(worker) == 1
    stopped, said = left(worker, f"import os; os.kill({replica.pid}, 15)", 30, monkeypatch)
    assert stopped == 1
    assert "still here" not in said
    assert raylet.poll() is not None


def test_replicas_that_have_no_other_place_are_stopped_after_the_deadline(
    worker: ClusterSettings, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "LATE_S", 0.5)
    start(home=worker.home, program=REPLICA)
    stopped, said = left(worker, "", 1, monkeypatch)
    assert stopped == 1
    assert "1 still here are stopped as they are" in said


@pytest.mark.parametrize(
    ("head", "ask_s", "words"),
    [
        ("import sys; sys.exit('it is no node of mine')", 20.0, "did not take it up (it is no node of mine)"),
        ("import time; time.sleep(60)", 0.5, "the head did not answer"),
    ],
)
def test_a_head_that_refuses_or_is_silent_keeps_nobody(
    worker: ClusterSettings, start: Start, monkeypatch: pytest.MonkeyPatch, head: str, ask_s: float, words: str
) -> None:
    monkeypatch.setattr(leaving, "ASK_S", ask_s)
    start(home=worker.home, program=REPLICA)
    stopped, said = left(worker, head, 600, monkeypatch)
    assert stopped == 1
    assert words in said


def test_nothing_is_asked_of_the_head_when_replicas_may_be_stopped_at_once(
    worker: ClusterSettings, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(home=worker.home, program=REPLICA)
    stopped, said = left(worker, "raise SystemExit(1)", 0, monkeypatch)
    assert stopped == 1
    assert "elsewhere" not in said


def test_the_head_hears_which_node_goes_and_when(worker: ClusterSettings, start: Start) -> None:
    raylet = worker.home / "raylet"
    raylet.write_text("#!/bin/sh\necho here; read line\n")
    raylet.chmod(0o700)
    assert node_id(worker) == ""
    start(home=worker.home, program=f"import os; os.execv({str(raylet)!r}, ['raylet', '--node_id=c0ffee'])")
    command = drain_command(worker, 90)
    for option, value in (
        ("--address", "10.0.0.1:6390"),
        ("--node-id", "c0ffee"),
        ("--deadline-remaining-seconds", "90"),
    ):
        assert command[command.index(option) + 1] == value
