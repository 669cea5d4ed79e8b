"""Serve's REST interface: what ``serve deploy``, ``serve status`` and ``serve shutdown`` send, without the
three seconds that importing Ray costs each of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cluster.head import ray_headers
from cluster.settings import ClusterSettings
from cluster.waiting import wait_until
from features.errors import ClusterError

APPLICATIONS = "/api/serve/applications/"
REST_TIMEOUT_S = 60.0
# An application may be unhealthy for a moment while a replica is replaced.
UNHEALTHY_PATIENCE_S = 15.0
POLL_S = 0.5


@dataclass(frozen=True)
class Deployment:
    """One deployment as Serve reports it; ``replicas`` counts those that run, ``wanted`` the target."""

    name: str
    status: str
    message: str
    replicas: int
    wanted: int
    logs: tuple[str, ...]


@dataclass(frozen=True)
class Application:
    """One application as Serve reports it."""

    name: str
    status: str
    message: str
    deployments: tuple[Deployment, ...]


def deploy(settings: ClusterSettings, config: dict[str, Any]) -> None:
    """Hand a config over; return when Serve accepted it, before anything of it runs.

    Raises:
        ClusterError: the dashboard does not answer, or the config is invalid.
    """
    try:
        answer = httpx.put(
            settings.dashboard_url + APPLICATIONS,
            json=config,
            headers=ray_headers(settings),
            timeout=REST_TIMEOUT_S,
        )
    except httpx.TransportError as error:
        raise ClusterError(f"Ray's dashboard at {settings.dashboard_url} does not answer: {error}") from error
    if answer.is_error:
        raise ClusterError(f"Serve refused {settings.config}: {answer.text.strip()}")


def applications(settings: ClusterSettings, timeout_s: float = REST_TIMEOUT_S) -> list[Application]:
    """Return every application with its deployments; empty when Serve does not run.

    Raises:
        ClusterError: the dashboard does not answer.
    """
    try:
        answer = httpx.get(settings.dashboard_url + APPLICATIONS, headers=ray_headers(settings), timeout=timeout_s)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise ClusterError(f"Ray's dashboard at {settings.dashboard_url} does not answer: {error}") from error
    return [_application(name, found) for name, found in answer.json().get("applications", {}).items()]


def wait_until_running(settings: ClusterSettings, progress: Callable[[str], None]) -> list[Application]:
    """Wait until every application runs; ``progress`` is told what is still missing.

    Raises:
        ClusterError: a deployment failed, stayed unhealthy, or the time was over; carries Serve's message.
    """
    deadline = time.monotonic() + settings.waits.deploy_s
    unhealthy_since: float | None = None
    while True:
        now = time.monotonic()
        found = applications(settings)
        statuses = {one.status for one in found}
        if statuses == {"RUNNING"}:
            return found
        unhealthy_since = (unhealthy_since or now) if "UNHEALTHY" in statuses else None
        gave_up = unhealthy_since is not None and now - unhealthy_since > UNHEALTHY_PATIENCE_S
        if "DEPLOY_FAILED" in statuses or gave_up or now > deadline:
            raise ClusterError(failure(found, settings.ray_logs))
        progress(_missing(found))
        time.sleep(POLL_S)  # Polls a server that gives no notice.


def shut_down(settings: ClusterSettings) -> bool:
    """Ask Serve to delete its applications and wait for it; return whether it did so in time."""
    try:
        httpx.delete(
            settings.dashboard_url + APPLICATIONS,
            headers=ray_headers(settings),
            timeout=settings.waits.serve_shutdown_s,
        )
        return wait_until(lambda: not applications(settings, timeout_s=5), settings.waits.serve_shutdown_s)
    except (httpx.HTTPError, ClusterError):
        return False


def failure(found: list[Application], logs: Path) -> str:
    """Return why a deployment does not run, in Serve's words, and where its logs are."""
    lines = ["The deployment did not come up."]
    for application in found:
        if application.status != "RUNNING":
            lines.append(f"Application {application.name} is {application.status}. {application.message}")
        for one in application.deployments:
            if one.status != "HEALTHY":
                lines.append(f"Deployment {one.name} is {one.status}. {one.message}")
                lines += [f"  its log: {logs}{log}" for log in one.logs]
    lines.append(f"All logs are in {logs}/serve; `tollgate down` removes what stands.")
    return "\n".join(line.rstrip() for line in lines)


def _missing(found: list[Application]) -> str:
    waiting = [f"{d.name} {d.replicas}/{d.wanted}" for a in found for d in a.deployments if d.replicas < d.wanted]
    return ", ".join(waiting) or ", ".join(f"{a.name} {a.status}" for a in found)


def _application(name: str, found: dict[str, Any]) -> Application:
    deployments = tuple(_deployment(key, value) for key, value in found.get("deployments", {}).items())
    return Application(name, found["status"], found.get("message", ""), deployments)


def _deployment(name: str, found: dict[str, Any]) -> Deployment:
    replicas = found.get("replicas", [])
    return Deployment(
        name=name,
        status=found["status"],
        message=found.get("message", ""),
        replicas=sum(replica["state"] == "RUNNING" for replica in replicas),
        wanted=found.get("target_num_replicas") or 0,
        logs=tuple(replica["log_file_path"] for replica in replicas if replica.get("log_file_path")),
    )
