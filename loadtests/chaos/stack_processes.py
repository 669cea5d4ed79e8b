"""The processes of a stack by what they do, so that a fault strikes the one that it means."""

import contextlib
from collections.abc import Sequence
from typing import Final

import psutil

from cluster.processes import RAY, VALKEY, owned_by, title_of
from cluster.settings import ClusterSettings

REPLICA: Final = "ray::ServeReplica:tollgate:"
CONTROLLER: Final = "ray::ServeController"
HAPROXY: Final = "haproxy"
RAYLET: Final = "raylet"
KINDS: Final = ("Ingress", "Router", "Features", "LogisticRegression", "XGBoost", "DecisionLog")
"""The kinds of replica, as serve_config.yaml calls them."""


def replicas(settings: ClusterSettings, kind: str) -> list[psutil.Process]:
    """Return the processes of the replicas of a deployment, the oldest first."""
    return _titled(settings, f"{REPLICA}{kind}")


def controller(settings: ClusterSettings) -> list[psutil.Process]:
    """Return the process of Serve's controller."""
    return _titled(settings, CONTROLLER)


def haproxy(settings: ClusterSettings) -> list[psutil.Process]:
    """Return the processes of HAProxy, master and worker."""
    return [one.process for one in owned_by(settings.home, RAY) if one.name == HAPROXY]


def raylet(settings: ClusterSettings) -> list[psutil.Process]:
    """Return the process of Ray's raylet of this machine."""
    return [one.process for one in owned_by(settings.home, RAY) if one.name == RAYLET]


def store(settings: ClusterSettings) -> list[psutil.Process]:
    """Return the process of the embedded Valkey; empty where it is not ours."""
    return [one.process for one in owned_by(settings.home, VALKEY)]


def kill(processes: Sequence[psutil.Process]) -> None:
    """Kill processes with SIGKILL and return once they are gone; some end by the death of others."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=30)


def _titled(settings: ClusterSettings, title: str) -> list[psutil.Process]:
    found = [one.process for one in owned_by(settings.home, RAY) if title_of(one.process).startswith(title)]
    return sorted(found, key=lambda process: process.create_time())
