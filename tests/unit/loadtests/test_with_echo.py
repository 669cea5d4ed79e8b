"""The Serve config that holds the echo beside Tollgate."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from deployments.settings import FusedSettings
from loadtests.with_echo import FOLDER, with_echo


def config(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


TOLLGATE = config(FOLDER.parent / "serve_config.yaml")
ECHO = config(FOLDER / "echo_config.yaml")


def test_both_applications_are_there_under_routes_of_their_own() -> None:
    both = with_echo(TOLLGATE, ECHO, None)
    routes = {application["name"]: application["route_prefix"] for application in both["applications"]}
    assert routes == {"tollgate": "/", "echo": "/echo"}


def test_apart_from_the_echo_the_config_is_the_one_that_is_deployed() -> None:
    before = deepcopy(TOLLGATE)
    both = with_echo(TOLLGATE, ECHO, None)
    assert both | {"applications": both["applications"][:1]} == TOLLGATE == before


def test_the_fused_ingress_can_be_patient_too() -> None:
    fused = config(FOLDER.parent / "serve_config.fused.yaml")
    [ingress] = with_echo(fused, ECHO, None, 2000)["applications"][0]["deployments"][:1]
    assert ingress["name"] == "Fused"
    assert FusedSettings.model_validate(ingress["user_config"]).ingress.deadline_ms == 2000


def test_both_ingresses_are_held_at_the_same_number_of_replicas() -> None:
    both = with_echo(TOLLGATE, ECHO, 2)
    deployments = {d["name"]: d for application in both["applications"] for d in application["deployments"]}
    for name in ("Ingress", "Echo"):
        assert deployments[name]["num_replicas"] == 2
        assert "autoscaling_config" not in deployments[name]
    assert "num_replicas" not in deployments["Router"]


def test_adding_the_echo_twice_adds_it_once() -> None:
    once = with_echo(TOLLGATE, ECHO, None)
    assert with_echo(once, ECHO, None) == once


def test_the_echo_is_limited_like_the_ingress() -> None:
    [ingress] = [d for d in TOLLGATE["applications"][0]["deployments"] if d["name"] == "Ingress"]
    [echo] = ECHO["applications"][0]["deployments"]
    for name in ("max_ongoing_requests", "max_queued_requests"):
        assert echo[name] == ingress[name]
    assert echo["ray_actor_options"]["num_cpus"] == ingress["ray_actor_options"]["num_cpus"]
    for name in ("http_options", "logging_config"):
        assert ECHO[name] == TOLLGATE[name]


def test_a_patient_deadline_is_that_of_the_ingress_alone() -> None:
    both = with_echo(TOLLGATE, ECHO, 1, 2000)
    deployments = {d["name"]: d for application in both["applications"] for d in application["deployments"]}
    usual = {d["name"]: d for d in TOLLGATE["applications"][0]["deployments"]}
    assert deployments["Ingress"]["user_config"] == usual["Ingress"]["user_config"] | {"deadline_ms": 2000}
    assert all(deployments[name] == usual[name] for name in usual if name != "Ingress")
