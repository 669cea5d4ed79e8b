"""Tollgate's own stack: one that stands already, or one that is started with the echo beside it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster.record import remembered
from cluster.settings import settings_from
from features.errors import ClusterError
from loadtests import with_echo
from loadtests.compare.errors import CompareError


@dataclass(frozen=True, slots=True)
class Stack:
    """Where Tollgate answers, and what else of it the peers need.

    Attributes:
        home: its state folder; None for a stack that was not started on this machine by ``tollgate up``, whose
            processes are not known and are never frozen.
        own: started by the comparison, and stopped by it.
    """

    http_url: str
    redis_url: str
    tracking_uri: str
    home: Path | None
    own: bool = False


def elsewhere(http_url: str) -> Stack:
    """Return a stack that is known by its address alone.

    Raises:
        CompareError: its store or its registry is not named.
    """
    redis_url, tracking_uri = os.environ.get("TOLLGATE_REDIS_URL"), os.environ.get("MLFLOW_TRACKING_URI")
    if not redis_url or not tracking_uri:
        raise CompareError("With --tollgate-url, set TOLLGATE_REDIS_URL and MLFLOW_TRACKING_URI to those of it.")
    return Stack(http_url.rstrip("/"), redis_url, tracking_uri, None)


def standing(home: Path) -> Stack:
    """Return the stack that ``tollgate up --home`` started.

    Raises:
        CompareError: there is none.
    """
    try:
        settings = remembered(home.resolve())
    except ClusterError as error:
        raise CompareError(str(error)) from error
    if settings is None:
        raise CompareError(
            f"No stack stands at {home}. Start it with `tollgate up`, or leave --tollgate-home out."
        )
    return Stack(settings.http_url, settings.redis_url, settings.mlflow_uri, settings.home)


def up(home: Path, port_base: int, config: Path, ingress_replicas: int) -> Stack:
    """Start a stack with the echo beside Tollgate, and return it.

    Raises:
        CompareError: it did not come up.
    """
    home.mkdir(parents=True, exist_ok=True)
    both = [yaml.safe_load(path.read_text()) for path in (config, with_echo.FOLDER / "echo_config.yaml")]
    path = home / "with_echo.yaml"
    measured = with_echo.with_echo(both[0], both[1], ingress_replicas, with_echo.DEADLINE_MS)
    path.write_text(yaml.safe_dump(measured, sort_keys=False))
    _tollgate("up", "--home", str(home), "--port-base", str(port_base), "--config", str(path))
    settings = settings_from(os.environ, home=home, config=path, port_base=port_base)
    return Stack(settings.http_url, settings.redis_url, settings.mlflow_uri, settings.home, own=True)


def down(stack: Stack) -> None:
    """Stop a stack that the comparison started; leave any other as it is.

    Raises:
        CompareError: something of it is left.
    """
    if stack.own:
        _tollgate("down", "--home", str(stack.home))


def _tollgate(*arguments: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "cluster", *arguments], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise CompareError(f"`tollgate {arguments[0]}` failed:\n{run.stderr.strip()}")
