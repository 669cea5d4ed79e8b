import io
import os
import socket

import pytest
from rich.console import Console

from cluster.down import down
from cluster.processes import MLFLOW, RAY, VALKEY
from cluster.record import remember, remembered
from cluster.settings import ClusterSettings, Ports
from cluster.steps import Steps
from features.errors import ClusterError
from tests.unit.cluster.conftest import Start


@pytest.fixture
def steps() -> Steps:
    return Steps(Console(file=io.StringIO()))


def test_down_ends_what_is_marked_and_nothing_else(settings: ClusterSettings, steps: Steps, start: Start) -> None:
    remember(settings)
    ours = [start(home=settings.home, component=component) for component in (RAY, MLFLOW, VALKEY)]
    foreign = start(home=settings.home.parent / "other")
    result = down(settings, steps)
    assert result.stopped == 3
    assert all(child.poll() is not None for child in ours)
    assert foreign.poll() is None
    assert remembered(settings.home) is None


def test_down_with_nothing_running_is_no_error_even_when_a_stranger_has_the_port(
    settings: ClusterSettings, steps: Steps, listener: socket.socket
) -> None:
    assert down(_with_http_port(settings, listener), steps).stopped == 0


def test_down_says_who_still_holds_a_port(
    settings: ClusterSettings, steps: Steps, start: Start, listener: socket.socket
) -> None:
    start(home=settings.home)
    impatient = _with_http_port(settings, listener).model_copy(
        update={"waits": settings.waits.model_copy(update={"ports_s": 0.0})}
    )
    with pytest.raises(ClusterError, match=rf"{listener.getsockname()[1]} \(http\) by .*pid {os.getpid()}"):
        down(impatient, steps)


def _with_http_port(settings: ClusterSettings, listener: socket.socket) -> ClusterSettings:
    ports = Ports(**(settings.ports.model_dump() | {"http": listener.getsockname()[1]}))
    return settings.model_copy(update={"ports": ports})
