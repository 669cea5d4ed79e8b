"""The Ray worker node of a machine that joins a head elsewhere."""

import sys
from collections.abc import Mapping
from typing import Final

from cluster.environment import node_environment
from cluster.haproxy import start_script
from cluster.head import ATTEMPTS, make_private, run_ray_start, stop_ray
from cluster.processes import RAY, arguments_of, owned_by
from cluster.settings import ClusterSettings
from features.errors import ClusterError

NODE_ID: Final = "--node_id="
WRONG_TOKEN: Final = "InvalidAuthToken"
WRONG_VERSION: Final = "Version mismatch: "
"""How Ray says what is wrong with a node that would join."""


def start_worker(settings: ClusterSettings, base: Mapping[str, str]) -> None:
    """Start a raylet that joins the head; return once the head has taken it in.

    On a busy machine Ray's own agents may be too slow for it, so it is tried once more, as a head is.

    Raises:
        ClusterError: it did not join; says why, where Ray does.
    """
    make_private(settings.runtime)
    start_script(settings)
    log = settings.logs / "ray-start.log"
    head = settings.hosts.head_address
    command, environment = worker_command(settings), node_environment(settings, base)
    for _ in range(ATTEMPTS):
        written = log.stat().st_size if log.exists() else 0
        if run_ray_start(settings, command, environment, log) and is_up(settings):
            return
        stop_ray(settings)
        said = log.read_bytes()[written:].decode(errors="replace")
        if WRONG_TOKEN in said:
            raise ClusterError(
                f"The head at {head} refuses the token of {settings.ray_token_file}: copy it from the head anew."
            )
        if WRONG_VERSION in said:
            raise ClusterError(
                f"The head at {head} runs another version of Ray or Python: all nodes need the same; see {log}."
            )
    raise ClusterError(f"This machine did not join the head at {head}; see {log} and {settings.ray_logs}.")


def worker_command(settings: ClusterSettings) -> list[str]:
    """Return the command line of a worker node."""
    assert settings.hosts.head_address is not None
    assert settings.hosts.node_address is not None
    return [
        *(sys.executable, "-m", "cluster.ray_command", "start"),
        *("--address", settings.hosts.head_address, "--node-ip-address", settings.hosts.node_address),
        *("--dashboard-agent-listen-port", str(settings.ports.dashboard_agent)),
        *("--metrics-export-port", str(settings.ports.metrics)),
        *("--num-cpus", str(settings.logical_cpus)),
        *("--object-store-memory", str(settings.object_store_bytes)),
        *("--temp-dir", str(settings.runtime / "ray"), "--disable-usage-stats"),
    ]


def is_up(settings: ClusterSettings) -> bool:
    """Return whether the raylet of this machine lives. It ends by itself once the head has given it up."""
    return "raylet" in {one.name for one in owned_by(settings.home, RAY)}


def node_id(settings: ClusterSettings) -> str:
    """Return what Ray calls this node, in hex; "" where its raylet has gone."""
    raylets = [one.process for one in owned_by(settings.home, RAY) if one.name == "raylet"]
    arguments = [argument for process in raylets for argument in arguments_of(process)]
    return next((one.removeprefix(NODE_ID) for one in arguments if one.startswith(NODE_ID)), "")
