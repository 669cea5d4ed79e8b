"""The faults, each a function that strikes a running stack and returns once whoever has to repair it has done so.

What Serve replaces by itself (replicas, HAProxy, its controller) is left to it. The embedded Valkey has nobody who
starts it again but ``tollgate up``, so that is what the fault runs, as an operator or a supervisor would.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import psutil
from rich.console import Console

from cluster.serve_config import config_to_deploy
from cluster.serve_rest import deploy
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from cluster.up import up
from cluster.waiting import wait_until
from features.errors import ClusterError
from loadtests.chaos import stack_processes
from loadtests.chaos.serve_changes import deployments, with_user_config

VICTIM_S: Final = 120.0
"""How long a fault waits for what it is to strike."""
FROZEN_S: Final = 5.0
STORE_DOWN_S: Final = 3.0
"""How long the store stays down before the repair begins: decisions are to be made without it."""
QUEUE: Final = 4
BURSTS: Final = 10
BURST: Final = 60


@dataclass(frozen=True, slots=True)
class Scene:
    """What a fault acts on.

    Attributes:
        settings: of the stack.
        send: has the client send so many payments at once, besides its steady load.
    """

    settings: ClusterSettings
    send: Callable[[int], None]


Fault = Callable[[Scene], None]


def kill_replica(kind: str, scene: Scene) -> None:
    """Kill the oldest replica of a deployment with SIGKILL; Serve starts another."""
    found = _victims(lambda: stack_processes.replicas(scene.settings, kind), f"replica of {kind}")
    stack_processes.kill(found[:1])


def kill_haproxy(scene: Scene) -> None:
    """Kill HAProxy, master and workers, with SIGKILL."""
    stack_processes.kill(_victims(lambda: stack_processes.haproxy(scene.settings), "HAProxy"))


def kill_controller(scene: Scene) -> None:
    """Kill Serve's controller with SIGKILL; Ray starts another."""
    stack_processes.kill(_victims(lambda: stack_processes.controller(scene.settings), "Serve controller"))


def kill_store(scene: Scene) -> None:
    """Kill Valkey with SIGKILL; some seconds later it is started again with its append-only file."""
    stack_processes.kill(_victims(lambda: stack_processes.store(scene.settings), "Valkey of this stack"))
    time.sleep(STORE_DOWN_S)  # The fault itself: decisions are made without the store meanwhile.
    repair(scene.settings)


def freeze_store(scene: Scene) -> None:
    """Stop Valkey with SIGSTOP for some seconds: connections stay open and nothing answers."""
    [store] = _victims(lambda: stack_processes.store(scene.settings), "Valkey of this stack")
    with frozen(store):
        time.sleep(FROZEN_S)  # The fault itself.


def fill_queue(scene: Scene) -> None:
    """Make the ingress's queue tiny and send far more at once than fits; then give it back its size."""
    _, config = config_to_deploy(scene.settings)
    usual = deployments(config)["Ingress"]["user_config"]["batch"]
    tiny = usual | {"max_size": QUEUE, "max_queue": QUEUE, "slots": 1}
    deploy(scene.settings, with_user_config(config, "Ingress", batch=tiny))
    try:
        for _ in range(BURSTS):
            scene.send(BURST)
            time.sleep(1)  # Lets Serve bring the config to the replica, and the clients come again.
    finally:
        deploy(scene.settings, config)


FAULTS: Final[Mapping[str, Fault]] = {
    "ingress": partial(kill_replica, "Ingress"),
    "router": partial(kill_replica, "Router"),
    "features": partial(kill_replica, "Features"),
    "lr": partial(kill_replica, "LogisticRegression"),
    "xgb": partial(kill_replica, "XGBoost"),
    "log": partial(kill_replica, "DecisionLog"),
    "haproxy": kill_haproxy,
    "controller": kill_controller,
    "store": kill_store,
    "store_frozen": freeze_store,
    "queue": fill_queue,
}
"""Every fault by name."""

WORDS: Final[Mapping[str, str]] = {
    "ingress": "kill -9 of an Ingress replica",
    "router": "kill -9 of a Router replica",
    "features": "kill -9 of a Features replica",
    "lr": "kill -9 of a LogisticRegression replica",
    "xgb": "kill -9 of an XGBoost replica",
    "log": "kill -9 of a DecisionLog replica",
    "haproxy": "kill -9 of HAProxy",
    "controller": "kill -9 of the Serve controller",
    "store": f"kill -9 of Valkey, started again after {STORE_DOWN_S:g} s by `tollgate up`",
    "store_frozen": f"SIGSTOP of Valkey for {FROZEN_S:g} s",
    "queue": f"a queue of {QUEUE}, and {BURSTS} bursts of {BURST} payments at once",
}
"""What each fault is, in words for the table."""


def repair(settings: ClusterSettings) -> None:
    """Do what ``tollgate up`` does on a stack of which a part is down: start that part.

    Raises:
        ClusterError: it did not come up.
    """
    up(settings, os.environ, Steps(Console(quiet=True)))


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """Keep a process stopped inside of the block."""
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def _victims(find: Callable[[], list[psutil.Process]], what: str) -> list[psutil.Process]:
    """Return what is to be struck, once it is there: in a soak it may still be on its way back."""
    found: list[psutil.Process] = []

    def there() -> bool:
        found[:] = find()
        return bool(found)

    if not wait_until(there, VICTIM_S):
        raise ClusterError(f"There is no {what} to strike.")
    return found
