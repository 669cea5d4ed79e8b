"""Replicas that start while the registry cannot give them a version go on with what their machine keeps."""

import asyncio
import errno
from pathlib import Path

import pytest

from deployments.model_watch import ModelWatch
from deployments.models import LogisticRegression
from deployments.settings import ModelRef
from features.definitions import fingerprint
from features.errors import BundleRefused, RegistryUnavailable
from tests.unit.deployments.fake_registry import REF, FakeRegistry, Replica, bundles_of
from tests.unit.training.bundles import small_bundle

pytestmark = pytest.mark.usefixtures("own_data_folder")


@pytest.fixture
def kept_before(tmp_path: Path) -> FakeRegistry:
    """A registry whose version 1 decided on this machine before its replicas went."""
    small_bundle().save(tmp_path / "files")
    registry = FakeRegistry(files=tmp_path / "files")
    asyncio.run(ModelWatch(bundles_of(registry), []).model(REF, None))
    return registry


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
