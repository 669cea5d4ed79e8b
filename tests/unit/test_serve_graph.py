"""The Serve config and the graph that it configures belong together, and neither shows a secret."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ray.serve import Application

from deployments.app import build
from deployments.config_lint import GRAPHS, IMPORT_PATH
from deployments.settings import AppArgs, PolicySettings, Thresholds
from tests.unit.serve_configs import PLACEMENTS, TEXT, changed, deployments


def _graph(application: Application) -> Iterator[str]:
    bound = application._bound_deployment
    yield bound.name
    for argument in bound.init_args:
        if isinstance(argument, Application):
            yield from _graph(argument)


def test_the_linter_knows_exactly_the_deployments_of_the_graph() -> None:
    for placement in PLACEMENTS:
        application = build(AppArgs(redis_url=None, tracking_uri=None, placement=placement))
        assert set(_graph(application)) == set(GRAPHS[placement])


def test_the_import_path_is_the_builder() -> None:
    assert f"{build.__module__}:{build.__name__}" == IMPORT_PATH
    assert yaml.safe_load(TEXT)["applications"][0]["import_path"] == IMPORT_PATH


def test_the_policy_of_the_config_is_the_designs() -> None:
    policy = PolicySettings.model_validate(deployments(yaml.safe_load(TEXT))["Router"]["user_config"])
    assert policy.weights is None  # Those of the bundle, which are half and half unless others rank better.
    assert policy.thresholds == Thresholds(block=0.90, review=0.50, fraud=0.50)
    assert [(rule.when, rule.action) for rule in policy.rules] == [
        ("amount_ratio > 3", "BLOCK"),
        ("is_night and amount > 2000", "BLOCK"),
    ]


def test_all_deployments_serve_one_bundle() -> None:
    models = [
        deployment["user_config"]["model"]
        for deployment in deployments(yaml.safe_load(TEXT)).values()
        if "model" in deployment["user_config"]
    ]
    assert len(models) == 3
    assert all(model == models[0] for model in models)


SECRETS = [
    {"TOLLGATE_API_KEY": "tg_a_b"},
    {"RAY_AUTH_TOKEN": "x"},
    {"STORE_PASSWORD": "x"},
    {"ANY": "rediss://ada:secret@store:6379/0"},
]


@pytest.mark.parametrize("variables", SECRETS)
def test_a_secret_in_a_runtime_environment_is_refused_as_serve_would_show_it(variables: dict[str, str]) -> None:
    def of_ingress(config: dict[str, Any]) -> None:
        deployments(config)["Ingress"]["ray_actor_options"]["runtime_env"]["env_vars"].update(variables)

    def of_application(config: dict[str, Any]) -> None:
        config["applications"][0]["runtime_env"] = {"env_vars": variables}

    for change in (of_ingress, of_application):
        [problem] = changed(change)
        assert next(iter(variables)) in problem
        assert "secret@" not in problem


def test_the_path_of_a_secret_is_none() -> None:
    def change(config: dict[str, Any]) -> None:
        variables = {"TOLLGATE_API_KEYS_FILE": "/keys.yaml", "RAY_AUTH_TOKEN_PATH": "/token"}
        deployments(config)["Ingress"]["ray_actor_options"]["runtime_env"]["env_vars"].update(variables)

    assert changed(change) == []


@pytest.mark.parametrize("name", ["redis_url", "tracking_uri"])
def test_an_address_with_a_password_in_the_arguments_is_refused(name: str) -> None:
    def change(config: dict[str, Any]) -> None:
        config["applications"][0]["args"] = {name: "https://ada:secret@host/0"}

    [problem] = changed(change)
    assert "must not hold a password" in problem


def test_the_graph_is_built_without_the_passwords_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_REDIS_URL", "rediss://ada:secret@store:6379/0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@mlflow")
    for placement in PLACEMENTS:
        application = build(AppArgs(redis_url=None, tracking_uri=None, placement=placement))
        shown = repr([argument for bound in _bound(application) for argument in bound.init_args])
        assert "store:6379" in shown
        assert "secret" not in shown


def _bound(application: Application) -> Iterator[Any]:
    bound = application._bound_deployment
    yield bound
    for argument in bound.init_args:
        if isinstance(argument, Application):
            yield from _bound(argument)
