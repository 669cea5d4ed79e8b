"""A real process: started, frozen, thawed, stopped."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cluster.processes import owned_by
from loadtests.compare.errors import PeerUnavailable
from loadtests.compare.processes import Processes

SERVER = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1")


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def server(tmp_path: Path, port: int) -> Iterator[Processes]:
    processes = Processes(tmp_path, f"http://127.0.0.1:{port}/")
    yield processes
    processes.stop()


def test_a_system_is_frozen_and_goes_on_after_it(server: Processes, port: int) -> None:
    server.start((*SERVER, str(port)), os.environ)
    [owned] = owned_by(server.home)
    server.freeze()
    while owned.process.status() != psutil.STATUS_STOPPED:
        pass  # The kernel stops it at its next chance; the test's own timeout ends what would last.
    server.thaw()
    assert server.wait_ready(30)
    assert server.cpu_s() > 0


def test_a_frozen_system_can_be_stopped(server: Processes, port: int) -> None:
    tidy = (
        "import signal, sys, http.server\n"
        "def end(*_): open(sys.argv[2], 'w').close(); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "address = ('127.0.0.1', int(sys.argv[1]))\n"
        "http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()"
    )
    server.start((sys.executable, "-c", tidy, str(port), str(server.home / "tidied")), os.environ)
    server.freeze()
    server.stop()
    assert owned_by(server.home) == []
    assert server.cpu_s() == 0
    assert (server.home / "tidied").exists()  # It was asked to end and could, rather than killed.


def test_a_system_that_ends_at_once_is_named_with_the_end_of_its_log(server: Processes) -> None:
    failing = (sys.executable, "-c", "raise SystemExit('no model here')")
    with pytest.raises(PeerUnavailable, match="did not start: no model here"):
        server.start(failing, os.environ)


def test_only_processes_of_its_own_folder_are_touched(server: Processes, port: int, tmp_path: Path) -> None:
    server.start((*SERVER, str(port)), os.environ)
    Processes(tmp_path / "another", "").stop()
    assert len(owned_by(server.home)) == 1
