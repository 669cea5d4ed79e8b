"""The real stack for the tests of the graph and its faults: brought up once, on ports and in a folder of its own.

The launcher runs as a subprocess, so Serve's environment variables never reach the pytest process.
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cluster.ports import conflicts
from cluster.processes import owned_by
from cluster.record import remembered
from cluster.settings import INGRESS_PORTS, PROJECT, settings_from

# Of 20,000 transactions two frauds fall into the validation period, and training needs five.
TRANSACTIONS = 50_000
UP_TIMEOUT_S = 900
DOWN_TIMEOUT_S = 180
ATTEMPTS = 20


@dataclass(frozen=True)
class Stack:
    """Where the stack of this test session is to be found."""

    http: str
    redis: str
    mlflow: str
    dashboard: str
    home: Path

    @property
    def ray_variables(self) -> dict[str, str]:
        """What a command of Ray needs in its environment to be let in."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.home / "secrets" / "ray_token")}

    def ask_ray(self, path: str) -> httpx.Response:
        """Return the answer of Ray's dashboard, with the token of the stack."""
        token = (self.home / "secrets" / "ray_token").read_text()
        return httpx.get(self.dashboard + path, headers={"authorization": f"Bearer {token}"}, timeout=30)

    def tollgate(self, *arguments: str, timeout_s: float = UP_TIMEOUT_S) -> subprocess.CompletedProcess[str]:
        """Run the command ``tollgate`` on this stack and return what it said, whatever its exit code."""
        return _tollgate(self.home, *arguments, timeout_s=timeout_s)


def patient(config: Path, folder: Path) -> Path:
    """Return a copy of a Serve config for a busy machine: no decision is degraded for slowness alone."""
    text = config.read_text()
    for bound, longer in (
        (" deadline_ms: 100\n", " deadline_ms: 20000\n"),
        ("timeout_ms: 250", "timeout_ms: 2000"),
    ):
        assert bound in text
        text = text.replace(bound, longer)
    copy = folder / config.name
    copy.write_text(text)
    return copy


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with a small champion; taken down at the end, and nothing of it may be left."""
    home = tmp_path_factory.mktemp("stack") / "home"
    patient(PROJECT / "serve_config.yaml", home.parent)
    base = _free_block(home)
    brought_up = _tollgate(
        home, "up", "--port-base", str(base), "--transactions", str(TRANSACTIONS), timeout_s=UP_TIMEOUT_S
    )
    try:
        assert brought_up.returncode == 0, brought_up.stderr
        settings = remembered(home)
        assert settings is not None
        yield Stack(
            http=settings.http_url,
            redis=settings.redis_url,
            mlflow=settings.mlflow_uri,
            dashboard=settings.dashboard_url,
            home=home,
        )
    finally:
        taken_down = _tollgate(home, "down", timeout_s=DOWN_TIMEOUT_S)
    assert taken_down.returncode == 0, taken_down.stderr
    assert owned_by(home) == []


def _free_block(home: Path) -> int:
    """Return the first of a block of free ports, clear of the default ingress ports and of the kernel's picks."""
    choice = random.SystemRandom()
    for _ in range(ATTEMPTS):
        base = choice.randrange(20_000, 29_000 - INGRESS_PORTS, 100)
        if not conflicts(settings_from({}, home=home, port_base=base).needed_ports(), home):
            return base
    raise AssertionError(f"no free block of ports after {ATTEMPTS} attempts")


def _tollgate(home: Path, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    ours = ("TOLLGATE_", "MLFLOW_", "RAY_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        [sys.executable, "-m", "cluster", *arguments],
        env=environment | {"TOLLGATE_HOME": str(home), "TOLLGATE_CONFIG": str(home.parent / "serve_config.yaml")},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
