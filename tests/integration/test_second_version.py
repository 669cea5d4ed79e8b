"""The versions that changes under load are made with, in a real registry: one is served, the other refused."""

from pathlib import Path

import mlflow
import pytest

from features.definitions import fingerprint
from features.errors import BundleRefused
from loadtests.chaos.second_version import broken_version, second_version
from tests.unit.training.bundles import small_bundle
from training.bundle import Bundle
from training.experiment import open_experiment
from training.registry import BUNDLE_ARTIFACT, CHAMPION, MODEL_NAME, Registry

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
"""MLflow's own tables use what SQLAlchemy 2.1 deprecates."""


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with a champion of version 1."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    run = mlflow.MlflowClient(uri).create_run(open_experiment(uri))
    small_bundle().save(tmp_path / "saved")
    found = Registry(uri)
    found.promote(found.publish(tmp_path / "saved", run.info.run_id).version)
    return found


def test_the_second_version_is_served_and_no_alias_names_it(registry: Registry) -> None:
    assert second_version(registry.tracking_uri) == ("1", "2")
    registry.load(MODEL_NAME, "2", fingerprint())
    assert registry.aliases() == {CHAMPION: "1"}


def test_the_broken_version_is_refused_for_its_digests_alone(registry: Registry, tmp_path: Path) -> None:
    assert broken_version(registry.tracking_uri) == ("1", "2")
    with pytest.raises(BundleRefused, match="is not the file that was registered"):
        registry.load(MODEL_NAME, "2", fingerprint())
    run_id = registry.resolve("2").run_id
    files = mlflow.MlflowClient(registry.tracking_uri).download_artifacts(run_id, BUNDLE_ARTIFACT, str(tmp_path))
    whole = Bundle.load(Path(files), fingerprint())
    assert whole.lr.intercept != small_bundle().lr.intercept
    assert registry.aliases() == {CHAMPION: "1"}
