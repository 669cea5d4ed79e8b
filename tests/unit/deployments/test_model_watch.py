"""A change of the served version: all parts hold it before any decides by it, and a bad one changes nothing."""

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deployments.model_watch import ModelWatch
from deployments.models import LogisticRegression
from deployments.served_bundles import HELD, ServedBundles
from deployments.served_model import ServedModel
from deployments.settings import ModelRef
from features.definitions import fingerprint
from features.errors import BundleRefused, RegistryUnavailable
from tests.unit.training.bundles import small_bundle

REF = ModelRef(name="tollgate", alias="champion")


class Model:
    """A model that scores every row alike."""

    def __init__(self, score: float) -> None:
        self._score = score

    def probability(self, matrix: Any) -> Any:
        return np.full(len(matrix), self._score)


@dataclass
class FakeRegistry:
    """A registry whose bundle of version n scores n / 100.

    Attributes:
        champion: the version that the alias names.
        broken: versions that are refused.
        is_down: whether it does not answer.
        loads: versions that were fetched.
        files: of all bundles; a folder.
    """

    champion: str = "1"
    broken: set[str] = field(default_factory=set)
    is_down: bool = False
    loads: list[str] = field(default_factory=list)
    files: Path = Path(os.devnull)

    def resolve(self, alias_or_version: str, name: str) -> Any:
        if self.is_down:
            raise RegistryUnavailable("no answer")
        assert alias_or_version in ("champion", "stable")
        assert name == "tollgate"
        return SimpleNamespace(version=self.champion)

    def load(self, _: str, version: str, __: str, keep: Callable[[Path], None]) -> Any:
        self.loads.append(version)
        if self.is_down:
            raise RegistryUnavailable("no answer")
        if version in self.broken:
            raise BundleRefused(f"version {version} is damaged")
        keep(self.files)
        model = Model(int(version) / 100)
        return SimpleNamespace(lr=model, xgb=model, warm=lambda: None), SimpleNamespace(version=version)


@dataclass
class Replica:
    """A handle to one model replica, which holds what it is told to."""

    problem: str = ""
    held: list[str] = field(default_factory=list)

    @property
    def hold(self) -> Any:
        async def hold(_: str, version: str) -> str:
            self.held.append(version)
            return self.problem

        return SimpleNamespace(remote=hold)


@pytest.fixture(autouse=True)
def _own_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOLLGATE_DATA_FOLDER", str(tmp_path))


@pytest.fixture
def kept_before(tmp_path: Path) -> FakeRegistry:
    """A registry whose version 1 decided on this machine before its replicas went."""
    small_bundle().save(tmp_path / "files")
    registry = FakeRegistry(files=tmp_path / "files")
    asyncio.run(ModelWatch(bundles_of(registry), []).model(REF, None))
    return registry


def bundles_of(registry: FakeRegistry, address: str = "nowhere") -> ServedBundles:
    bundles = ServedBundles(address)
    bundles._registry = registry  # type: ignore[assignment]
    return bundles


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
    registry.is_down = False
    assert await watch.model(REF, first) is first
    assert not watch.problem


@pytest.mark.parametrize("registry", [FakeRegistry(is_down=True), FakeRegistry(broken={"1"})])
async def test_without_a_first_version_there_is_nothing_to_go_on_with(registry: FakeRegistry) -> None:
    with pytest.raises((BundleRefused, RegistryUnavailable)):
        await ModelWatch(bundles_of(registry), []).model(REF, None)


async def test_a_router_that_starts_without_the_registry_goes_on_with_what_decided_before(
    kept_before: FakeRegistry,
) -> None:
    kept_before.is_down = True
    watch = ModelWatch(bundles_of(kept_before), [Replica()])
    started = await watch.model(REF, None)
    assert started.key == ("tollgate", "1")
    assert started.bundle.manifest.feature_fingerprint == fingerprint()
    assert "version 1 stays: no answer" in watch.problem
    kept_before.is_down = False
    assert await watch.model(REF, started) is started
    assert not watch.problem


async def test_a_router_that_starts_while_the_alias_names_a_broken_version_goes_on_with_the_one_before(
    kept_before: FakeRegistry,
) -> None:
    kept_before.champion, kept_before.broken = "2", {"2"}
    watch = ModelWatch(bundles_of(kept_before), [Replica()])
    started = await watch.model(REF, None)
    assert started.key == ("tollgate", "1")
    for _ in range(2):
        assert await watch.model(REF, started) is started
    assert "version 1 stays: version 2 is damaged" in watch.problem
    assert kept_before.loads == ["1", "2"], "fetched once and then known to be broken"
    kept_before.champion = "3"
    assert (await watch.model(REF, started)).key == ("tollgate", "3")
    assert not watch.problem


async def test_a_deciding_version_that_breaks_in_the_registry_goes_on_and_is_told(
    kept_before: FakeRegistry,
) -> None:
    kept_before.broken = {"1"}
    watch = ModelWatch(bundles_of(kept_before), [Replica()])
    started = await watch.model(REF, None)
    assert await watch.model(REF, started) is started
    assert started.key == ("tollgate", "1")
    assert "version 1 stays: version 1 is damaged" in watch.problem
    kept_before.champion = "2"
    assert (await watch.model(REF, started)).key == ("tollgate", "2")
    assert not watch.problem


async def test_what_decided_before_for_another_alias_is_not_taken(kept_before: FakeRegistry) -> None:
    kept_before.is_down = True
    with pytest.raises(RegistryUnavailable, match="no answer"):
        await ModelWatch(bundles_of(kept_before), []).model(ModelRef(name="tollgate", alias="other"), None)


def damage(folder: Path) -> None:
    [manifest] = folder.glob("models/*/name=tollgate/1/bundle.json")
    manifest.unlink()


async def test_a_kept_version_that_is_damaged_is_not_taken(
    kept_before: FakeRegistry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept_before.is_down = True
    damage(tmp_path)
    with pytest.raises(RegistryUnavailable, match="no answer"):
        await ModelWatch(bundles_of(kept_before), []).model(REF, None)
    assert "version 1 of tollgate as kept in" in caplog.text


async def test_what_another_registry_gave_under_the_same_version_is_not_taken(kept_before: FakeRegistry) -> None:
    kept_before.is_down = True
    with pytest.raises(RegistryUnavailable, match="no answer"):
        await ModelWatch(bundles_of(kept_before, "elsewhere"), []).model(REF, None)


async def test_another_release_does_not_go_on_with_what_decided_before(
    kept_before: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_before.champion, kept_before.broken = "2", {"2"}
    monkeypatch.setattr("deployments.served_bundles.fingerprint", lambda: "0123456789abcdef")
    with pytest.raises(BundleRefused, match="version 2"):
        await ModelWatch(bundles_of(kept_before), []).model(REF, None)
    replica = LogisticRegression("nowhere")
    replica._bundles = bundles_of(kept_before)
    with pytest.raises(BundleRefused, match="version 2"):
        await replica.reconfigure({})


async def test_two_releases_on_one_machine_each_go_on_with_their_own(
    kept_before: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setattr("deployments.served_bundles.fingerprint", lambda: "0123456789abcdef")
        kept_before.champion = "2"
        assert (await ModelWatch(bundles_of(kept_before), []).model(REF, None)).key == ("tollgate", "2")
    kept_before.broken = {"2"}
    assert (await ModelWatch(bundles_of(kept_before), []).model(REF, None)).key == ("tollgate", "1")


async def test_a_version_that_routers_ask_for_is_the_kept_one_while_the_registry_is_away(
    kept_before: FakeRegistry,
) -> None:
    kept_before.is_down = True
    replica = LogisticRegression("nowhere")
    replica._bundles = bundles_of(kept_before)
    assert await replica.hold("tollgate", "1") == ""
    assert await replica.hold("tollgate", "2") == "no answer"
    assert replica._bundles.versions == ["1"]


async def test_the_version_that_decides_is_held_before_newer_ones(kept_before: FakeRegistry) -> None:
    bundles = bundles_of(kept_before)
    for version in ("2", "3", "4", "5"):
        await bundles.hold("tollgate", version)
    kept_before.is_down = True
    started = bundles_of(kept_before)
    await started.hold_kept(REF)
    assert started.versions == ["4", "5", "1"]


def raise_full(**_: object) -> str:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_an_alias_that_names_the_same_version_is_noted_too(kept_before: FakeRegistry) -> None:
    other = ModelRef(name="tollgate", alias="stable")
    watch = ModelWatch(bundles_of(kept_before), [])
    current = await watch.model(REF, None)
    assert await watch.model(other, current) is current
    kept_before.is_down = True
    started = await ModelWatch(bundles_of(kept_before), []).model(other, None)
    assert started.key == ("tollgate", "1")


async def test_what_the_disk_did_not_take_is_noted_the_next_time(
    kept_before: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = ModelWatch(bundles_of(kept_before), [])
    current = await watch.model(REF, None)
    kept_before.champion = "2"
    with monkeypatch.context() as full:
        full.setattr("deployments.kept_bundles.tempfile.mkdtemp", raise_full)
        current = await watch.model(REF, current)
    assert bundles_of(kept_before)._kept.decided(REF) == "1"
    await watch.model(REF, current)
    assert bundles_of(kept_before)._kept.decided(REF) == "2"


@pytest.mark.parametrize("away", ["is_down", "broken"])
async def test_a_model_that_starts_without_the_version_of_the_alias_holds_what_is_kept(
    kept_before: FakeRegistry, away: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept_before.champion = "2"
    kept_before.is_down, kept_before.broken = away == "is_down", {"2"}
    replica = LogisticRegression("nowhere")
    replica._bundles = bundles_of(kept_before)
    await replica.reconfigure({})
    assert replica._bundles.versions == ["1"]
    assert "was not taken" in caplog.text
    assert not replica._problem, "the routers tell it, for as long as it is so"


async def test_a_model_that_starts_with_nothing_kept_fails() -> None:
    replica = LogisticRegression("nowhere")
    replica._bundles = bundles_of(FakeRegistry(is_down=True))
    with pytest.raises(RegistryUnavailable):
        await replica.reconfigure({})
    assert not replica._bundles.versions


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
