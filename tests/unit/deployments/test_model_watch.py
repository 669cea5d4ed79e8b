"""A change of the served version: all parts hold it before any decides by it, and a bad one changes nothing."""

from typing import Any

import numpy as np
import pytest

from deployments.model_watch import ModelWatch
from deployments.models import LogisticRegression
from deployments.served_bundles import HELD
from deployments.served_model import ServedModel
from features.errors import BundleRefused, RegistryUnavailable
from tests.unit.deployments.fake_registry import REF, FakeRegistry, Replica, bundles_of

pytestmark = pytest.mark.usefixtures("own_data_folder")


async def test_a_promotion_is_taken_once_every_replica_holds_the_version() -> None:
    registry, replicas = FakeRegistry(), [Replica(), Replica()]
    watch = ModelWatch(bundles_of(registry), replicas)
    first = await watch.model(REF, None)
    assert await watch.model(REF, first) is first
    registry.champion = "2"
    second = await watch.model(REF, first)
    assert (first.key, second.key) == (("tollgate", "1"), ("tollgate", "2"))
    assert [replica.held for replica in replicas] == [["2"], ["2"]]
    assert registry.loads == ["1", "2"]


async def test_a_broken_bundle_is_refused_once_and_the_old_version_stays() -> None:
    registry, replica = FakeRegistry(broken={"2"}), Replica()
    watch = ModelWatch(bundles_of(registry), [replica])
    first = await watch.model(REF, None)
    registry.champion = "2"
    assert [await watch.model(REF, first) for _ in range(3)] == [first] * 3
    assert "version 1 stays: version 2 is damaged" in watch.problem
    assert watch.registry_answers
    assert (registry.loads, replica.held) == (["1", "2"], [])
    registry.champion = "3"
    assert (await watch.model(REF, first)).version == "3"
    assert not watch.problem


async def test_a_replica_that_does_not_hold_the_version_keeps_all_at_the_old_one_until_it_does() -> None:
    registry, replica = FakeRegistry(), Replica(problem="no answer of the registry")
    watch = ModelWatch(bundles_of(registry), [replica])
    first = await watch.model(REF, None)
    registry.champion = "2"
    assert await watch.model(REF, first) is first
    assert "does not hold version 2" in watch.problem
    replica.problem = ""
    assert (await watch.model(REF, first)).version == "2"
    assert not watch.problem


async def test_without_the_registry_the_running_version_stays() -> None:
    registry = FakeRegistry()
    watch = ModelWatch(bundles_of(registry), [Replica()])
    first = await watch.model(REF, None)
    registry.is_down = True
    assert await watch.model(REF, first) is first
    assert "version 1 stays: no answer" in watch.problem
    assert (watch.registry_answers, watch.registry) == (False, "no answer")
    registry.is_down = False
    assert await watch.model(REF, first) is first
    assert not watch.problem
    assert (watch.registry_answers, watch.registry) == (True, "tollgate@champion is version 1")


@pytest.mark.parametrize("registry", [FakeRegistry(is_down=True), FakeRegistry(broken={"1"})])
async def test_without_a_first_version_there_is_nothing_to_go_on_with(registry: FakeRegistry) -> None:
    with pytest.raises((BundleRefused, RegistryUnavailable)):
        await ModelWatch(bundles_of(registry), []).model(REF, None)


async def test_the_versions_used_last_are_held() -> None:
    registry = FakeRegistry()
    bundles = bundles_of(registry)
    for version in ("1", "2", "3"):
        await bundles.hold("tollgate", version)
    assert bundles.get("tollgate", "1") is not None
    await bundles.hold("tollgate", "4")
    assert bundles.versions == ["3", "1", "4"]
    assert len(bundles.versions) == HELD
    assert bundles.get("tollgate", "2") is None


async def test_a_model_scores_with_the_version_that_it_is_asked_for() -> None:
    replica = LogisticRegression("nowhere")
    registry = FakeRegistry()
    replica._bundles = bundles_of(registry)
    await replica.reconfigure({})
    assert await replica.hold("tollgate", "2") == ""
    matrix, suspect = np.zeros((2, 3)), np.zeros(2, np.bool_)
    for version, score in (("2", 0.02), ("1", 0.01)):
        reply = await replica.score(matrix, suspect, 0.5, ("tollgate", version))
        assert reply.scores.tolist() == [score] * 2


async def test_a_version_that_is_not_held_is_refused_and_loaded_for_the_next_call() -> None:
    replica = LogisticRegression("nowhere")
    replica._bundles = bundles_of(FakeRegistry())
    matrix, suspect = np.zeros((2, 3)), np.zeros(2, np.bool_)
    with pytest.raises(BundleRefused, match="not loaded here yet"):
        await replica.score(matrix, suspect, 0.5, ("tollgate", "5"))
    [loading] = replica._late
    await loading
    assert (await replica.score(matrix, suspect, 0.5, ("tollgate", "5"))).scores.tolist() == [0.05] * 2


async def test_a_replica_says_what_is_wrong_with_a_version() -> None:
    replica = LogisticRegression("nowhere")
    replica._bundles = bundles_of(FakeRegistry(broken={"2"}))
    await replica.reconfigure({})
    assert await replica.hold("tollgate", "2") == "version 2 is damaged"
    replica._bundles._registry.is_down = True  # type: ignore[attr-defined]
    await replica.reconfigure({"model": {"name": "tollgate", "alias": "champion"}})
    assert "was not taken: no answer" in replica._problem


def test_a_served_model_is_known_by_name_and_version() -> None:
    bundle: Any = object()
    assert ServedModel("tollgate", "3", bundle).key == ("tollgate", "3")
