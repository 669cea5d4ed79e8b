"""The changes that an operator makes under load, each a function; none may fail a request."""

import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import httpx
from rich.console import Console

from cluster.serve_config import config_to_deploy
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from cluster.upgrade_store import upgrade_store
from cluster.waiting import wait_until
from features.errors import ClusterError
from loadtests.chaos import stack_processes
from loadtests.chaos.faults import Fault, Scene
from loadtests.chaos.second_version import broken_version, second_version
from loadtests.chaos.serve_changes import (
    IN_FORCE_S,
    Config,
    deployments,
    for_trials,
    put_in_force,
    with_user_config,
    with_variable,
)
from training.registry import Registry

VARIABLE: Final = "TOLLGATE_ROLLOUT"
SERVED_KINDS: Final = ("Ingress", "Router", "Features", "LogisticRegression", "XGBoost")
"""The kinds of replica that scale."""
ASK_S: Final = 10.0


def roll_code(scene: Scene) -> None:
    """Give all replicas an environment variable, and take it from them: Serve replaces each of them twice."""
    _, config = config_to_deploy(scene.settings)
    _roll(scene.settings, with_variable(config, VARIABLE, f"{os.getpid()}-{time.monotonic_ns()}"))
    _roll(scene.settings, config)


def change_policy(scene: Scene) -> None:
    """Change the policy and the ingress's bounds in place, and back."""
    settings = scene.settings
    _, config = config_to_deploy(settings)
    usual = deployments(config)["Router"]["user_config"].get("max_reasons", 5)
    wait_ms = deployments(config)["Ingress"]["user_config"]["max_wait_ms"]
    changed = with_user_config(config, "Router", max_reasons=usual - 1)
    changed = with_user_config(changed, "Ingress", max_wait_ms=wait_ms + 1)
    put_in_force(settings, changed, lambda: _policy(settings).get("max_reasons") == usual - 1)
    put_in_force(settings, config, lambda: _policy(settings).get("max_reasons") == usual)


def scale(replicas: int, scene: Scene) -> None:
    """Have so many replicas of each deployment that scales."""
    settings = scene.settings
    _, config = config_to_deploy(settings)

    def scaled() -> bool:
        return {len(stack_processes.replicas(settings, kind)) for kind in SERVED_KINDS} == {replicas}

    put_in_force(settings, for_trials(config, replicas), scaled)


def replace_store(scene: Scene) -> None:
    """Replace Valkey by the installed one, on its append-only file, as ``tollgate upgrade-store`` does."""
    upgrade_store(scene.settings, os.environ, Steps(Console(quiet=True)))


def promote(scene: Scene) -> None:
    """Let the alias name another version until that decides, and then the old one again."""
    settings = scene.settings
    registry = Registry(settings.mlflow_uri)
    champion, other = second_version(settings.mlflow_uri)
    try:
        for version in (other, champion):
            registry.promote(version)
            if not wait_until(partial(_serves, settings, version), IN_FORCE_S):
                raise ClusterError(f"Version {version} was not taken within {IN_FORCE_S:g} s.")
    finally:
        registry.promote(champion)


def refuse(scene: Scene) -> None:
    """Let the alias name a version whose files are not the registered ones until it is refused, and back."""
    settings = scene.settings
    registry = Registry(settings.mlflow_uri)
    champion, broken = broken_version(settings.mlflow_uri)
    refused = f"version {champion} stays: Version {broken} "
    try:
        registry.promote(broken)
        if not wait_until(lambda: refused in (_problem(settings) or ""), IN_FORCE_S):
            raise ClusterError(f"Version {broken}, which is broken, was not refused within {IN_FORCE_S:g} s.")
        if not _serves(settings, champion):
            raise ClusterError(f"Version {champion} does not serve although {broken} was refused.")
    finally:
        registry.promote(champion)
    if not wait_until(lambda: _problem(settings) == "", IN_FORCE_S):
        raise ClusterError(f"GET /ready still names a problem {IN_FORCE_S:g} s later: {_problem(settings)}")


CHANGES: Final[Mapping[str, Fault]] = {
    "code": roll_code,
    "user_config": change_policy,
    "model": promote,
    "model_broken": refuse,
    "scale_up": partial(scale, 2),
    "scale_down": partial(scale, 1),
    "store": replace_store,
}
"""Every change by name, in an order in which they can be made one after the other."""

WORDS: Final[Mapping[str, str]] = {
    "code": "rolling update of every replica (an environment variable), and back",
    "user_config": "policy and bounds changed in place, and back",
    "model": "another version promoted, and the old one again",
    "model_broken": "the alias moved to a version that is refused (files replaced since), and back",
    "scale_up": "each deployment from 1 replica to 2",
    "scale_down": "each deployment from 2 replicas to 1",
    "store": "Valkey replaced on its append-only file (`tollgate upgrade-store`)",
}


def _roll(settings: ClusterSettings, config: Config) -> None:
    before = {kind: _pids(settings, kind) for kind in stack_processes.KINDS}

    def replaced() -> bool:
        return all(_pids(settings, kind) and not _pids(settings, kind) & before[kind] for kind in before)

    put_in_force(settings, config, replaced)


def _pids(settings: ClusterSettings, kind: str) -> set[int]:
    return {process.pid for process in stack_processes.replicas(settings, kind)}


def _serves(settings: ClusterSettings, version: str) -> bool:
    return bool(_model(settings).get("version") == version)


def _policy(settings: ClusterSettings) -> dict[str, Any]:
    policy: dict[str, Any] = _model(settings).get("policy", {})
    return policy


def _model(settings: ClusterSettings) -> dict[str, Any]:
    return _asked(settings, "model")


def _problem(settings: ClusterSettings) -> str | None:
    """Return what a router says that it did not take, "" where it took all; None where it does not answer."""
    problem: str | None = _asked(settings, "ready").get("dependencies", {}).get("router", {}).get("problem")
    return problem


def _asked(settings: ClusterSettings, what: str) -> dict[str, Any]:
    """Return the answer to GET; empty without one."""
    try:
        answer = httpx.get(f"{settings.http_url}/{what}", timeout=ASK_S)
    except httpx.TransportError:
        return {}
    document: dict[str, Any] = answer.json() if answer.is_success else {}
    return document
