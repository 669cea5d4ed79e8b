"""The Serve config of the project is good, and the linter that says so finds what is not."""

from typing import Any

import pytest
import yaml

from deployments.config_lint import GRAPHS, lint
from tests.unit.serve_configs import FUSED, TEXT, Change, at, changed, deployments

INGRESS = ("applications", 0, "deployments", 0)


LEVELS: list[tuple[str | int, ...]] = [
    (),
    ("http_options",),
    ("grpc_options",),
    ("controller_options",),
    ("logging_config",),
    ("tracing_config",),
    ("applications", 0),
    ("applications", 0, "runtime_env"),
    ("applications", 0, "autoscaling_policy"),
    ("applications", 0, "logging_config"),
    INGRESS,
    (*INGRESS, "ray_actor_options"),
    (*INGRESS, "ray_actor_options", "runtime_env"),
    (*INGRESS, "autoscaling_config"),
    (*INGRESS, "autoscaling_config", "policy"),
    (*INGRESS, "logging_config"),
    (*INGRESS, "backpressure_config"),
    (*INGRESS, "request_router_config"),
]


def test_the_configs_of_the_project_are_good() -> None:
    assert lint(TEXT) == []
    assert lint(FUSED) == []


def test_both_configs_state_the_same_policy_bounds_and_settings() -> None:
    distributed = {name: one["user_config"] for name, one in deployments(yaml.safe_load(TEXT)).items()}
    fused = deployments(yaml.safe_load(FUSED))["Fused"]["user_config"]
    assert fused["ingress"] == distributed["Ingress"]
    assert fused["router"] == distributed["Router"]
    assert fused["features"] == distributed["Features"]
    assert fused["models"] == distributed["XGBoost"]
    assert fused["log"] == distributed["DecisionLog"]


@pytest.mark.parametrize(
    ("part", "values", "words"),
    [
        (
            "router",
            {"rules": [{"id": "a", "when": "amont > 1", "reason": "why"}]},
            "router.rules: rule a: 'amont'",
        ),
        ("ingress", {"batches": 1}, "ingress.batches"),
    ],
)
def test_each_section_of_the_fused_config_is_looked_at(part: str, values: dict[str, Any], words: str) -> None:
    config = yaml.safe_load(FUSED)
    deployments(config)["Fused"]["user_config"][part].update(values)
    [problem] = lint(yaml.safe_dump(config))
    assert words in problem


def test_the_deployments_must_be_those_of_the_placement() -> None:
    problems = changed(lambda config: config["applications"][0].update(args={"placement": "fused"}))
    assert any("no such deployment; known are Fused" in problem for problem in problems)


@pytest.mark.parametrize("path", LEVELS, ids=str)
def test_an_unknown_key_is_found_at_every_level_of_serves_own_schema(path: tuple[str | int, ...]) -> None:
    # The first of them: an anchor of the file stands in several places.
    problem = changed(lambda config: at(config, *path).update(mistyped_key=1))[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in (*path, "mistyped_key"))
    assert problem.startswith(f"{where.lstrip('.')}: no such key; known are ")


def test_the_keys_that_are_known_are_named() -> None:
    [problem] = changed(lambda config: at(config, *INGRESS, "ray_actor_options").update(num_cpu=1))
    assert "num_cpus" in problem


USER_LEVELS: list[tuple[str, tuple[str | int, ...]]] = [
    *((name, ()) for name in GRAPHS["distributed"]),
    ("Ingress", ("batch",)),
    ("Router", ("model",)),
    ("Router", ("weights",)),
    ("Router", ("thresholds",)),
    ("Router", ("rules", 0)),
    ("LogisticRegression", ("model",)),
    ("XGBoost", ("model",)),
]


@pytest.mark.parametrize(("name", "path"), USER_LEVELS, ids=str)
def test_an_unknown_key_is_found_at_every_level_of_each_user_config(
    name: str, path: tuple[str | int, ...]
) -> None:
    def change(config: dict[str, Any]) -> None:
        at(deployments(config)[name], "user_config", *path).update(mistyped_key=1)

    problems = changed(change)
    assert problems
    assert all("user_config" in problem and "mistyped_key" in problem for problem in problems)
    assert any(f"({name})" in problem for problem in problems)


def _delete(name: str, *keys: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        for key in keys:
            del deployments(config)[name][key]

    return change


def _update(deployment: str, **values: object) -> Change:
    return lambda config: deployments(config)[deployment].update(values)


def _scale(name: str, **values: object) -> Change:
    return lambda config: deployments(config)[name]["autoscaling_config"].update(values)


def _busy(**values: object) -> Change:
    # The policy is one and the same for all deployments of the file (a YAML anchor), so it is copied first.
    def change(config: dict[str, Any]) -> None:
        scaling = deployments(config)["Router"]["autoscaling_config"]
        scaling["policy"] = scaling["policy"] | values

    return change


def _by_ongoing(ongoing: int | None, target: float | None) -> Change:
    """Return a change that makes the router scale by ongoing requests, as Serve does without a policy."""

    def change(config: dict[str, Any]) -> None:
        router = deployments(config)["Router"]
        scaling = {key: value for key, value in router["autoscaling_config"].items() if key != "policy"}
        router["autoscaling_config"] = scaling | ({} if target is None else {"target_ongoing_requests": target})
        if ongoing is None:
            del router["max_ongoing_requests"]
        else:
            router["max_ongoing_requests"] = ongoing

    return change


def _policy(**values: object) -> Change:
    return lambda config: deployments(config)["Router"]["user_config"].update(values)


RULE = {"id": "a", "when": "amount > 1", "reason": "why"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_delete("Router", "max_queued_requests"), "max_queued_requests: must be set"),
        (_update("Router", max_queued_requests=-1), "max_queued_requests: must be set"),
        (_delete("Router", "max_surge_percent"), "max_surge_percent: must be 100"),
        (_update("Router", max_surge_percent=50), "max_surge_percent: must be 100"),
        (_by_ongoing(None, target=8), "must both be set"),
        (_by_ongoing(8, target=None), "must both be set"),
        (_by_ongoing(8, target=8), "at least 1.5 times"),
        (_by_ongoing(32, target=22), "at least 1.5 times"),
        (_by_ongoing(32, target=0), "target_ongoing_requests"),
        (_busy(policy_kwargs={"target": 1.5}), "policy.policy_kwargs: target must lie between 0 and 1"),
        (_busy(policy_kwargs={"goal": 0.5}), "policy.policy_kwargs"),
        (
            _busy(policy_function="ray.serve.autoscaling_policy:default_autoscaling_policy"),
            "policy_function: must be",
        ),
        (_scale("Router", max_replicas=0), "max_replicas"),
        (_scale("Router", min_replicas="many"), "min_replicas"),
        (_update("Router", ray_actor_options={"num_cpus": -1}), "num_cpus"),
        (_update("Router", user_config=None), "user_config"),
        (_update("Router", user_config="x"), "user_config"),
        (_update("Router", name="Rooter"), "no such deployment; known are Ingress, Router"),
        (_policy(thresholds={"block": 0.1}), "must not exceed"),
        (_policy(rules=[RULE | {"when": "amont > 1"}]), "rule a: 'amont'"),
        (_policy(rules_without_history=[RULE | {"when": "amont > 1"}]), "rules_without_history: rule a: 'amont'"),
        (_policy(rules=[RULE, RULE]), "rule ids must differ"),
        (lambda config: config["http_options"].update(port="x"), "http_options.port"),
        (lambda config: config["applications"][0].update(args={"redis": "x"}), "args.redis"),
        (lambda config: config["applications"][0].pop("import_path"), "import_path"),
        (lambda config: config["applications"][0]["deployments"].pop(), "DecisionLog must be there once, not 0"),
        (
            lambda config: config["applications"][0]["deployments"].append(deployments(config)["XGBoost"]),
            "XGBoost",
        ),
        (lambda config: config.update(applications={}), "applications"),
        (lambda config: config.update(applications=["x"]), "applications[0]: must be a mapping"),
        (lambda config: config["applications"][0].update(runtime_env="x"), "runtime_env"),
    ],
)
def test_what_serve_would_take_at_a_price_or_the_graph_would_refuse_is_found(change: Change, words: str) -> None:
    problems = changed(change)
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize(
    "change",
    [
        _scale("Router", metrics_interval_s=1, min_replicas=2),
        _by_ongoing(12, target=8),
        _policy(rules=[], weights=None, thresholds=None),
        lambda config: config["applications"][0].update(runtime_env={"env_vars": {"A": "b"}}),
        lambda config: deployments(config)["Router"].update(autoscaling_config=None, num_replicas=2),
        lambda config: config["applications"].append(
            {"name": "another", "route_prefix": "/another", "import_path": "x:y", "deployments": [{"name": "Z"}]}
        ),
    ],
)
def test_what_is_fine_is_not_complained_of(change: Change) -> None:
    assert changed(change) == []


def test_several_replicas_need_no_surge() -> None:
    def change(config: dict[str, Any]) -> None:
        del deployments(config)["Router"]["max_surge_percent"]
        deployments(config)["Router"]["autoscaling_config"]["min_replicas"] = 2

    assert changed(change) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be a mapping"),
        ("3", "must be a mapping"),
        ("applications: [", "not YAML"),
        ("a: 1\na: 2", "'a' is given twice"),
        ("applications: []\nhttp_options: {port: 1, port: 2}", "'port' is given twice"),
        ("\0", "not YAML"),
    ],
)
def test_a_text_that_is_no_config_is_told_so(text: str, words: str) -> None:
    [problem] = lint(text)
    assert words in problem


def test_a_key_that_overrides_a_merged_one_is_not_given_twice() -> None:
    text = TEXT.replace(
        "ray_actor_options: {num_cpus: 0.25}", "ray_actor_options: {<<: {num_cpus: 1}, num_cpus: 0.25}"
    )
    assert text != TEXT
    assert lint(text) == []
