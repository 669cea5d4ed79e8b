"""Copies of the Serve config for trials: still a good config, and different where they should be alone."""

from copy import deepcopy
from pathlib import Path

import yaml

from deployments.config_lint import lint
from loadtests.chaos.changes import CHANGES
from loadtests.chaos.changes import WORDS as CHANGE_WORDS
from loadtests.chaos.faults import FAULTS
from loadtests.chaos.faults import WORDS as FAULT_WORDS
from loadtests.chaos.serve_changes import DEADLINE_MS, deployments, for_trials, with_user_config, with_variable

CONFIG = yaml.safe_load((Path(__file__).resolve().parents[4] / "serve_config.yaml").read_text())


def test_a_copy_for_trials_is_patient_and_holds_its_replicas() -> None:
    before = deepcopy(CONFIG)
    changed = for_trials(CONFIG, 2)
    assert before == CONFIG
    assert lint(yaml.safe_dump(changed)) == []
    found = deployments(changed)
    assert found["Ingress"]["user_config"]["deadline_ms"] == DEADLINE_MS
    scaled = [one["autoscaling_config"] for one in found.values() if "autoscaling_config" in one]
    assert {(one["min_replicas"], one["max_replicas"]) for one in scaled} == {(2, 2)}


def test_a_user_config_changes_in_one_deployment_alone() -> None:
    changed = with_user_config(CONFIG, "Router", max_reasons=3)
    assert lint(yaml.safe_dump(changed)) == []
    assert deployments(changed)["Router"]["user_config"]["max_reasons"] == 3
    before, after = deployments(deepcopy(CONFIG)), deployments(changed)
    assert [name for name in before if before[name] != after[name]] == ["Router"]


def test_a_variable_reaches_every_deployment_and_keeps_the_others() -> None:
    changed = with_variable(CONFIG, "ROLLOUT", "1")
    assert lint(yaml.safe_dump(changed)) == []
    variables = {
        name: one["ray_actor_options"]["runtime_env"]["env_vars"] for name, one in deployments(changed).items()
    }
    assert all(found["ROLLOUT"] == "1" for found in variables.values())
    assert "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH" in variables["Ingress"]


def test_every_fault_and_every_change_has_its_words() -> None:
    assert FAULTS.keys() == FAULT_WORDS.keys()
    assert CHANGES.keys() == CHANGE_WORDS.keys()
