"""``tollgate leave``: takes this worker node out of its cluster, after Serve has replaced its replicas."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from cluster import worker
from cluster.down import DownResult, down
from cluster.environment import node_environment
from cluster.processes import RAY, owned_by, title_of
from cluster.settings import ClusterSettings
from cluster.steps import Steps, Tell
from cluster.waiting import wait_until

REPLICA: Final = "ray::ServeReplica:"
ASK_S: Final = 60.0
"""For the head's answer; it is asked by a Python process that imports Ray first."""
LATE_S: Final = 15.0
"""Serve stops what is left at the deadline; for it to do so."""


def leave(settings: ClusterSettings, environment: Mapping[str, str], steps: Steps, drain_s: int) -> DownResult:
    """Have Serve replace the replicas of this node by others elsewhere, then stop the node.

    Where there is no room for others, replicas stay until the deadline. A head that does not answer keeps nobody.

    Args:
        drain_s: for the replicas to go; 0: they are stopped at once, as by ``down``.

    Raises:
        ClusterError: as ``down``.
    """
    if drain_s and worker.is_up(settings):
        with steps.step("Serve: replicas elsewhere first") as tell:
            tell(_drained(settings, environment, drain_s, tell))
    return down(settings, steps)


def _drained(settings: ClusterSettings, environment: Mapping[str, str], drain_s: int, tell: Tell) -> str:
    """Return what there is to say once no replica is left here, or the time for it is over."""
    try:
        asked = subprocess.run(
            drain_command(settings, drain_s),
            env=node_environment(settings, environment),
            cwd=settings.work,
            capture_output=True,
            text=True,
            timeout=ASK_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "the head did not answer; the node is stopped as it is"
    if asked.returncode:
        words = asked.stderr.strip().splitlines() or ["no reason given"]
        return f"the head did not take it up ({words[-1]}); the node is stopped as it is"

    def gone() -> bool:
        left = replicas(settings)
        tell(f"{left} here")
        return not left

    return "" if wait_until(gone, drain_s + LATE_S) else f"{replicas(settings)} still here are stopped as they are"


def drain_command(settings: ClusterSettings, drain_s: int) -> list[str]:
    """Return the command that tells the head that this node goes, and when at the latest."""
    assert settings.hosts.head_address is not None
    return [
        *(sys.executable, "-m", "cluster.ray_command", "drain-node"),
        *("--address", settings.hosts.head_address, "--node-id", worker.node_id(settings)),
        *("--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "tollgate leave"),
        *("--deadline-remaining-seconds", str(drain_s)),
    ]


def replicas(settings: ClusterSettings) -> int:
    """Return how many replicas of Serve live on this machine."""
    return sum(title_of(one.process).startswith(REPLICA) for one in owned_by(settings.home, RAY))
