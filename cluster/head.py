"""The Ray head of the machine."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from cluster.environment import head_environment
from cluster.haproxy import start_script
from cluster.processes import RAY, Owned, owned_by, stop
from cluster.secret_files import make_secret, read_secret
from cluster.settings import LOOPBACK, ClusterSettings
from cluster.waiting import wait_until
from features.errors import ClusterError

ATTEMPTS = 2
DASHBOARD_WAIT_S = 20.0
ASK_TIMEOUT_S = 5.0
WITHOUT_GCS_GRACE_S = 3.0


def start_head(settings: ClusterSettings, base: Mapping[str, str]) -> None:
    """Start Ray's head and wait until its dashboard, which is Serve's REST address, answers.

    The dashboard of a busy machine sometimes dies while it starts, and ``ray start`` calls that a success;
    so a head without one is taken down and started once more.

    Raises:
        ClusterError: the head did not come up.
    """
    make_private(settings.runtime)
    make_secret(settings.ray_token_file)
    start_script(settings)
    log = settings.logs / "ray-start.log"
    for _ in range(ATTEMPTS):
        started = run_ray_start(settings, head_command(settings), head_environment(settings, base), log)
        if started and wait_until(lambda: is_up(settings), DASHBOARD_WAIT_S):
            return
        stop_ray(settings)
    raise ClusterError(f"Ray's head did not start; see {log} and {settings.ray_logs}.")


def run_ray_start(
    settings: ClusterSettings, command: Sequence[str], environment: Mapping[str, str], log: Path
) -> bool:
    """Run ``ray start``, which returns once the node is there; return whether it is."""
    with log.open("a") as output:
        try:
            finished = subprocess.run(
                command,
                env=dict(environment),
                cwd=settings.work,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # What Ray, Serve and HAProxy write is nobody else's: logs, and sockets that command them.
                umask=0o077,
                timeout=settings.waits.head_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return finished.returncode == 0


def head_command(settings: ClusterSettings) -> list[str]:
    """Return the command line of the head; every port that has a fixed default is given."""
    ports = settings.ports
    return [
        *(sys.executable, "-m", "cluster.ray_command", "start", "--head", *_node_address(settings)),
        *("--port", str(ports.ray_gcs), "--ray-client-server-port", str(ports.ray_client)),
        *("--dashboard-host", LOOPBACK, "--dashboard-port", str(ports.dashboard)),
        *("--dashboard-agent-listen-port", str(ports.dashboard_agent)),
        *("--metrics-export-port", str(ports.metrics)),
        *("--num-cpus", str(settings.logical_cpus)),
        *("--object-store-memory", str(settings.object_store_bytes)),
        *("--temp-dir", str(settings.runtime / "ray"), "--disable-usage-stats"),
    ]


def _node_address(settings: ClusterSettings) -> list[str]:
    address = settings.hosts.node_address
    return [] if settings.hosts.alone or address is None else ["--node-ip-address", address]


def stop_ray(settings: ClusterSettings) -> list[Owned]:
    """Stop what lives of our Ray, Serve and HAProxy, and return what had to be killed.

    The raylet goes first and takes its workers along; the GCS, which only a head has and to which everything
    else says goodbye, goes last. All at once would take 15 s, as the GCS then waits for farewells that never come;
    and so long would the others wait for a GCS that is gone already.
    """
    alive = {one.name for one in owned_by(settings.home, RAY)}
    grace_s = settings.waits.process_stop_s if "gcs_server" in alive else WITHOUT_GCS_GRACE_S
    first = [one for one in owned_by(settings.home, RAY) if one.name in ("raylet", "haproxy")]
    killed = stop(first, grace_s)
    middle = [one for one in owned_by(settings.home, RAY) if one.name != "gcs_server"]
    killed += stop(middle, grace_s)
    return killed + stop(owned_by(settings.home, RAY), settings.waits.process_stop_s)


def is_up(settings: ClusterSettings) -> bool:
    """Return whether our own head runs: GCS and raylet live, and the dashboard answers."""
    names = {one.name for one in owned_by(settings.home, RAY)}
    if not {"gcs_server", "raylet"} <= names:
        return False
    try:
        return _get(settings, "/api/version").is_success
    except httpx.TransportError:
        return False


def nodes(settings: ClusterSettings) -> list[dict[str, Any]]:
    """Return one summary a Ray node: its address, state and resources.

    Raises:
        ClusterError: the dashboard does not answer.
    """
    try:
        answer = _get(settings, "/api/v0/nodes")
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ClusterError(f"Ray's dashboard at {settings.dashboard_url} does not answer: {error}") from error
    found: list[dict[str, Any]] = answer.json()["data"]["result"]["result"]
    return found


def ray_headers(settings: ClusterSettings) -> dict[str, str]:
    """Return the headers that a request to Ray's dashboard needs: those of its token.

    Raises:
        ClusterError: the file of the token can be read by others.
    """
    if settings.ray_auth == "disabled" or not settings.ray_token_file.exists():
        return {}
    return {"authorization": f"Bearer {read_secret(settings.ray_token_file)}"}


def _get(settings: ClusterSettings, path: str) -> httpx.Response:
    return httpx.get(settings.dashboard_url + path, headers=ray_headers(settings), timeout=ASK_TIMEOUT_S)


def make_private(folder: Path) -> None:
    """Create ``folder`` for this user alone; refuse one that another user put there first.

    Raises:
        ClusterError: the folder is a link, belongs to somebody else, or is open to others.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not ours or stat.S_IMODE(status.st_mode) & 0o077:
        raise ClusterError(
            f"{folder} must be a folder of yours with mode 0700, as it will hold sockets with full control "
            "over the proxy. Remove it and try again."
        )


def keep_logs(settings: ClusterSettings) -> None:
    """Move the logs of the last Ray session into the state folder and remove the sockets' folder."""
    if not settings.runtime.exists():
        return
    kept = settings.logs / "ray"
    if settings.ray_logs.exists():
        shutil.rmtree(kept, ignore_errors=True)
        shutil.move(settings.ray_logs.resolve(), kept)
    shutil.rmtree(settings.runtime)
