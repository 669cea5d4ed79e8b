"""What the launcher says of the champion, read from a real registry."""

from io import StringIO
from pathlib import Path

import mlflow
import pytest
from rich.console import Console

from cluster import status
from cluster.hosts import Hosts
from cluster.registry import Champion, champion
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from cluster.up import champion_to_serve
from deployments.served_bundles import kept_bundles
from deployments.settings import ModelRef
from features.definitions import fingerprint
from features.errors import ClusterError
from tests.unit.training.bundles import small_bundle
from training.experiment import open_experiment
from training.registry import Registry

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
OTHER = "0123456789abcdef"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with a version of this release, one of another, and one that does not say."""
    folder = tmp_path_factory.mktemp("registry")
    registry = Registry(f"sqlite:///{folder}/mlflow.db")
    experiment = open_experiment(registry.tracking_uri)
    small_bundle().save(folder / "bundle")
    for tags in ({"feature_fingerprint": fingerprint()}, {"feature_fingerprint": OTHER}, {}):
        run = mlflow.MlflowClient(registry.tracking_uri).create_run(experiment)
        registry.publish(folder / "bundle", run.info.run_id, tags=tags)
    return registry


@pytest.fixture
def stack(settings: ClusterSettings, registry: Registry) -> ClusterSettings:
    return settings.model_copy(update={"mlflow_uri_external": registry.tracking_uri})


@pytest.mark.parametrize(
    ("version", "found", "foreign"), [("1", fingerprint(), False), ("2", OTHER, True), ("3", None, False)]
)
def test_the_champion_tells_whether_this_release_can_serve_it(
    registry: Registry, version: str, found: str | None, foreign: bool
) -> None:
    registry.promote(version)
    assert champion(registry.tracking_uri) == Champion(version, found)
    assert Champion(version, found).is_of_another_release == foreign


def test_an_empty_registry_has_no_champion(tmp_path: Path) -> None:
    assert champion(f"sqlite:///{tmp_path}/mlflow.db") is None


@pytest.mark.parametrize("version", ["1", "3"])
def test_up_serves_the_champion_that_is_there(registry: Registry, stack: ClusterSettings, version: str) -> None:
    registry.promote(version)
    assert champion_to_serve(stack, {}, Steps(Console(quiet=True))) == version


def test_up_goes_on_with_the_version_for_this_release_that_decided_last(
    registry: Registry, stack: ClusterSettings
) -> None:
    registry.promote("2")
    steps = Steps(Console(file=StringIO(), width=200))
    kept_bundles(registry.tracking_uri, stack.data / "models").decides(ModelRef(), "1")
    assert champion_to_serve(stack, {}, steps) == "2"
    assert isinstance(steps.console.file, StringIO)
    assert "champion is version 2, of another release; version 1 goes on here" in steps.console.file.getvalue()


def test_a_head_leaves_it_to_the_other_hosts_whether_they_keep_a_version(
    registry: Registry, stack: ClusterSettings
) -> None:
    registry.promote("2")
    head = stack.model_copy(update={"hosts": Hosts(node_address="10.0.0.1")})
    assert champion_to_serve(head, {}, Steps(Console(quiet=True))) == "2"


def test_up_deploys_nothing_that_this_release_cannot_serve(registry: Registry, stack: ClusterSettings) -> None:
    registry.promote("2")
    with pytest.raises(ClusterError, match=rf"Version 2, .* other features \({OTHER}\) .* \({fingerprint()}\)"):
        champion_to_serve(stack, {}, Steps(Console(quiet=True)))


@pytest.mark.parametrize(("version", "up"), [("1", True), ("2", False)])
def test_the_status_says_whether_this_release_can_serve_the_champion(
    registry: Registry, stack: ClusterSettings, version: str, up: bool
) -> None:
    registry.promote(version)
    [part] = [part for part in status.status(stack) if part.name == "Model registry"]
    assert part.up == up
    assert ("of another release" in part.detail) != up
