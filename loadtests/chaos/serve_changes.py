"""Copies of a Serve config with something changed, and the wait until the change is in force."""

import copy
from collections.abc import Callable
from typing import Any, Final

from cluster.serve_rest import applications, deploy
from cluster.settings import ClusterSettings
from cluster.waiting import wait_until
from features.errors import ClusterError

IN_FORCE_S: Final = 300.0
DEADLINE_MS: Final = 2000
"""Deadline of a decision in trials. On a machine that is full of other work, 100 ms would be passed now and then
without any fault, and a trial would not tell the one from the other."""

Config = dict[str, Any]


def deployments(config: Config) -> dict[str, Config]:
    """Return the deployments of the first application of a config, by name."""
    return {one["name"]: one for one in config["applications"][0]["deployments"]}


def for_trials(config: Config, replicas: int) -> Config:
    """Return a copy with a patient deadline and a fixed number of replicas of each deployment that scales."""
    changed = copy.deepcopy(config)
    for name, one in deployments(changed).items():
        if "autoscaling_config" in one:
            one["autoscaling_config"] |= {"min_replicas": replicas, "max_replicas": replicas}
        if name == "Ingress":
            one.setdefault("user_config", {})["deadline_ms"] = DEADLINE_MS
        if name == "DecisionLog":
            one.setdefault("user_config", {})["drain_interval_s"] = 2.0
    return changed


def with_user_config(config: Config, deployment: str, **values: Any) -> Config:
    """Return a copy in which a deployment has these values in its ``user_config``."""
    changed = copy.deepcopy(config)
    deployments(changed)[deployment].setdefault("user_config", {}).update(values)
    return changed


def with_variable(config: Config, name: str, value: str) -> Config:
    """Return a copy whose replicas have an environment variable: to Serve, another version of the code."""
    changed = copy.deepcopy(config)
    for one in deployments(changed).values():
        options = one.setdefault("ray_actor_options", {})
        options.setdefault("runtime_env", {}).setdefault("env_vars", {})[name] = value
    return changed


def put_in_force(settings: ClusterSettings, config: Config, in_force: Callable[[], bool]) -> None:
    """Deploy a config and wait until Serve has carried it out, and what it is for can be seen.

    Raises:
        ClusterError: it did not come into force in time.
    """
    deploy(settings, config)

    def done() -> bool:
        return in_force() and all(one.status == "RUNNING" for one in applications(settings))

    if not wait_until(done, IN_FORCE_S):
        found = "; ".join(f"{one.name} is {one.status}. {one.message}" for one in applications(settings))
        raise ClusterError(f"The config did not come into force within {IN_FORCE_S:g} s: {found}")
