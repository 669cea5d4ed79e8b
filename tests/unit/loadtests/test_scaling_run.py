"""The scaling command: the config that it deploys, and what it demands of a run."""

from copy import deepcopy
from pathlib import Path

import yaml

from deployments.config_lint import lint
from features.errors import ClusterError
from loadtests.growth_replicas import held
from loadtests.scaling import PLAN, Haste, Sampler, verdict
from loadtests.scaling_samples import Course
from loadtests.stages import duration_s, parse_stages

CONFIG = yaml.safe_load((Path(__file__).resolve().parents[3] / "serve_config.yaml").read_text())
UP = Course("Ingress", 1, 2, 1, 10.0, 60.0)
STILL = Course("Router", 1, 1, 1, None, None)
STUCK = Course("Features", 1, 2, 2, 10.0, None)


def test_the_copy_differs_in_delays_and_targets_alone() -> None:
    before = deepcopy(CONFIG)
    changed = Haste(3, 12, target_share=0.5).of(CONFIG)
    assert before == CONFIG
    assert lint(yaml.safe_dump(changed)) == []
    for deployment, own in zip(
        changed["applications"][0]["deployments"], CONFIG["applications"][0]["deployments"], strict=True
    ):
        if "autoscaling_config" not in own:
            assert deployment == own
            continue
        scaling, policy = deployment["autoscaling_config"], own["autoscaling_config"]["policy"]
        assert (scaling["upscale_delay_s"], scaling["downscale_delay_s"]) == (3, 12)
        assert scaling["policy"]["policy_kwargs"]["target"] == policy["policy_kwargs"]["target"] / 2
        own_delays = {name: own["autoscaling_config"][name] for name in ("upscale_delay_s", "downscale_delay_s")}
        assert deployment | {"autoscaling_config": scaling | own_delays | {"policy": policy}} == own


def test_a_haste_says_what_it_changes() -> None:
    assert str(Haste(3, 12)) == "delays 3 s up, 12 s down"
    assert str(Haste(3, 12, 0.25)) == "delays 3 s up, 12 s down; 0.25 of each target"
    assert str(Haste(3, 12, deadline_ms=2000)) == "delays 3 s up, 12 s down; deadline 2000 ms"


def test_a_patient_copy_has_its_deadline_in_the_ingress_alone() -> None:
    usual, changed = (
        {one["name"]: one.get("user_config") for one in haste.of(CONFIG)["applications"][0]["deployments"]}
        for haste in (Haste(), Haste(deadline_ms=2000))
    )
    assert changed == usual | {"Ingress": usual["Ingress"] | {"deadline_ms": 2000}}


def test_held_replicas_are_the_bounds_of_the_autoscaler() -> None:
    changed = held(CONFIG, 2)
    assert lint(yaml.safe_dump(changed)) == []
    bounds = {
        deployment["name"]: {deployment["autoscaling_config"][name] for name in ("min_replicas", "max_replicas")}
        for deployment in changed["applications"][0]["deployments"]
        if "autoscaling_config" in deployment
    }
    assert bounds.pop("Ingress") == {2}
    assert all(bound == {1} for bound in bounds.values())


def test_a_run_must_scale_up_and_come_back_without_a_failed_request() -> None:
    assert verdict([UP, STILL], []) == []
    assert verdict([UP], ["one failed"]) == ["one failed"]
    [nothing] = verdict([STILL], [])
    assert "No deployment scaled up" in nothing
    [stuck] = verdict([UP, STUCK], [])
    assert stuck.startswith("Features scaled up and did not come back")


def test_a_sample_that_the_dashboard_did_not_give_is_counted() -> None:
    def silent() -> list[object]:
        raise ClusterError("no answer")

    sampler = Sampler(silent, lambda: 5.0)  # type: ignore[arg-type]
    sampler(1.0)
    assert (sampler.samples, sampler.missed) == ([], 1)


def test_the_default_plan_ends_with_its_smallest_load_for_longer_than_replicas_need_to_leave() -> None:
    plan = parse_stages(PLAN)
    assert plan[-1].users == min(stage.users for stage in plan)
    assert plan[-1].duration_s >= 60
    assert duration_s(plan) < 300
