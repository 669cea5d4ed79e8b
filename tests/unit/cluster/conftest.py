"""Real child processes and real sockets for the tests of the launcher."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.haproxy import start_script
from cluster.processes import COMPONENT, MARK
from cluster.settings import ClusterSettings, Ports

# A child that says when it is there, and then waits for its end of the pipe to close.
WAITING = "import sys; print('here', flush=True); sys.stdin.read()"

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python children with a chosen environment and folder; none of them survives the test."""
    children: list[subprocess.Popen[str]] = []

    def start_child(
        home: Path | None = None,
        component: str = "ray",
        program: str = WAITING,
        folder: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        marks = {} if home is None else {MARK: str(home), COMPONENT: component}
        child = subprocess.Popen(
            [sys.executable, "-c", program],
            env=(dict(os.environ) if environment is None else environment) | marks,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "here"
        return child

    yield start_child
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket of this process that listens on a free port of the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> ClusterSettings:
    """Settings of a stack in a temporary folder, on ports that were free a moment ago."""
    names = list(Ports.model_fields)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    numbers = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    made = ClusterSettings(home=tmp_path / "home", config=tmp_path / "serve_config.yaml", ports=Ports(**numbers))
    made.logs.mkdir(parents=True)
    made.work.mkdir()
    return made


@pytest.fixture
def script(settings: ClusterSettings) -> Iterator[Path]:
    """What Serve starts for HAProxy."""
    settings.runtime.mkdir(mode=0o700)
    try:
        yield start_script(settings)
    finally:
        shutil.rmtree(settings.runtime)
