"""A cluster of three hosts: a head without replicas, and two workers with a replica of each kind."""

import shutil
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import yaml

from cluster.secret_files import make_secret
from cluster.serve_config import read_config
from cluster.settings import Ports
from cluster.waiting import wait_until
from deployments.access.key_file import write_keys
from deployments.access.keys import Scope, new_key
from features.errors import ClusterError
from loadtests.chaos.hosts.network import network
from loadtests.chaos.hosts.node import Node
from loadtests.chaos.hosts.servers import GCS_PORT, STORE_PORT, valkey
from loadtests.chaos.serve_changes import Config, deployments, for_trials

WORKERS: Final = 2
GCS: Final = "gcs"
WHOLE_S: Final = 600.0
ASK_S: Final = 5.0
POLL_S: Final = 1.0
STEADY_S: Final = 10.0
"""How long a cluster must have been whole. A node that was given up is, until it hears of it."""
LOGICAL_CPUS: Final = "8"


@dataclass(frozen=True, slots=True)
class Hosts:
    """The hosts of a running cluster.

    Attributes:
        api_key: that clients send; a secret.
    """

    head: Node
    workers: tuple[Node, ...]
    api_key: str

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All hosts, the head first."""
        return (self.head, *self.workers)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where clients may ask: at any host."""
        return tuple(f"http://{node.place.address}:{Ports().http}" for node in self.nodes)

    def make_whole(self) -> None:
        """Start each host again that does not stand, as a supervisor on it would, until the cluster is whole.

        A node that was cut off for long is given up by the head, and its raylet ends once it hears of it. On a
        machine that is full of other work a start may fail: Ray gives its own agents 15 s.

        Raises:
            ClusterError: it does not become whole.
        """
        ends = time.monotonic() + WHOLE_S
        broken_s = time.monotonic()
        failure = ""
        while (now := time.monotonic()) - broken_s < STEADY_S:
            if now > ends:
                state = ", ".join(f"{node.name} {'stands' if node.stands else 'is down'}" for node in self.nodes)
                raise ClusterError(f"The cluster was not whole within {WHOLE_S:g} s: {state}. {failure}".strip())
            for node in self.nodes:
                if not node.stands:
                    failure = node.try_to_start() or failure
            time.sleep(POLL_S)  # Polls processes that give no notice.
            if not self.whole():
                broken_s = time.monotonic()

    def whole(self) -> bool:
        """Return whether every host serves what it is to serve, and lets clients in."""
        return all(node.stands and node.serves for node in self.nodes) and all(map(_open, self.urls))


@contextmanager
def hosts(home: Path, config: Path, registry: str, transactions: int | None) -> Iterator[Hosts]:
    """Run a cluster of hosts; nothing of it is left in the end but the files in ``home``.

    Args:
        home: folder for the state of each host and of the shared servers.
        config: of Serve; a copy that suits trials is deployed.
        registry: of models, reachable from every host: a server elsewhere, or a file.
        transactions: for a first model, where the registry has none.

    Raises:
        ClusterError: networks cannot be made here, or a host did not start.
    """
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        places = stack.enter_context(network(1 + WORKERS))
        store, store_password = stack.enter_context(valkey(home, "store", STORE_PORT))
        # The state of the cluster of an earlier run is not to come back.
        shutil.rmtree(home / GCS, ignore_errors=True)
        gcs, gcs_password = stack.enter_context(valkey(home, GCS, GCS_PORT))
        token = home / "secrets" / "ray_token"
        make_secret(token)
        api_key, keys = _api_key(home)
        shared = {
            "TOLLGATE_REDIS_URL": f"{store}/0",
            "TOLLGATE_REDIS_PASSWORD_FILE": str(store_password),
            # The bridge is inside of this machine.
            "TOLLGATE_ALLOW_PLAINTEXT_REDIS": "1",
            "TOLLGATE_RAY_TOKEN_FILE": str(token),
            "TOLLGATE_API_KEYS_FILE": str(keys),
            "MLFLOW_TRACKING_URI": registry,
        }
        of_head = {
            "TOLLGATE_HOST": "0.0.0.0",
            "TOLLGATE_CONFIG": str(_config(home, config)),
            "TOLLGATE_GCS_URL": gcs,
            "TOLLGATE_GCS_PASSWORD_FILE": str(gcs_password),
            "TOLLGATE_LOGICAL_CPUS": "0",
        }
        of_worker = {"TOLLGATE_LOGICAL_CPUS": LOGICAL_CPUS}
        head = Node("head", places[0], home / "head", None, shared | of_head)
        address = f"{places[0].address}:{Ports().ray_gcs}"
        workers = tuple(
            Node(f"worker{number}", place, home / f"worker{number}", address, shared | of_worker)
            for number, place in enumerate(places[1:], 1)
        )
        for node in (head, *workers):
            stack.callback(node.remove)
        found = Hosts(head, workers, api_key)
        _start(found, transactions)
        yield found


def _start(found: Hosts, transactions: int | None) -> None:
    """Start every host. The head's command waits for the replicas, which have no place before the workers join."""
    trained = [] if transactions is None else ["--transactions", str(transactions)]
    with ThreadPoolExecutor(len(found.nodes)) as threads:
        head = threads.submit(found.head.tollgate, "up", *trained)
        wait_until(lambda: head.done() or _listens(found.workers[0].head), WHOLE_S)
        workers = [] if head.done() else [threads.submit(node.start) for node in found.workers]
        for started in (*workers, head):
            started.result()
    found.make_whole()


def _listens(address: str | None) -> bool:
    assert address is not None  # Of a worker's head it is known.
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), ASK_S).close()
    except OSError:
        return False
    return True


def for_hosts(config: Config) -> Config:
    """Return a copy for trials on hosts: a replica of each kind on each worker, and no two on one."""
    changed = for_trials(config, WORKERS)
    for one in deployments(changed).values():
        if "autoscaling_config" in one:
            one["max_replicas_per_node"] = 1
    return changed


def _config(home: Path, config: Path) -> Path:
    path = home / "serve_config.yaml"
    path.write_text(yaml.safe_dump(for_hosts(read_config(config)), sort_keys=False))
    return path


def _api_key(home: Path) -> tuple[str, Path]:
    key, text = new_key([Scope.SCORE, Scope.READ], name="chaos")
    path = home / "secrets" / "api_keys.yaml"
    write_keys(path, [key])
    return text, path


def _open(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=ASK_S).is_success
    except httpx.TransportError:
        return False
