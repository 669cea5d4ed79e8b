"""The registry on a real MLflow with a SQLite file."""

import secrets
import socket
import traceback
from pathlib import Path

import mlflow
import numpy as np
import pytest

from features.definitions import fingerprint
from features.errors import BundleRefused, RegistryUnavailable
from features.store_address import public_address
from tests.unit.training.bundles import small_bundle, some_rows
from training.bundle import Bundle
from training.experiment import open_experiment
from training.registry import MODEL_NAME, RegisteredVersion, Registry

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
"""MLflow's own tables use what SQLAlchemy 2.1 deprecates."""


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a registry of its own; to make the tables takes seconds, so all tests share it."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="module")
def experiment(uri: str) -> str:
    return open_experiment(uri)


@pytest.fixture
def registry(uri: str, experiment: str) -> Registry:
    assert experiment
    return Registry(uri)


def publish(
    registry: Registry, experiment: str, folder: Path, seed: int = 0, name: str = MODEL_NAME
) -> RegisteredVersion:
    run = mlflow.MlflowClient(registry.tracking_uri).create_run(experiment)
    small_bundle(seed).save(folder / f"bundle-{seed}")
    return registry.publish(
        folder / f"bundle-{seed}", run.info.run_id, name, {"feature_fingerprint": fingerprint()}
    )


def test_a_published_bundle_comes_back_and_scores_the_same(
    registry: Registry, experiment: str, tmp_path: Path
) -> None:
    published = publish(registry, experiment, tmp_path)
    bundle, found = registry.load(MODEL_NAME, published.version, fingerprint())
    assert found == published
    assert found.tags["feature_fingerprint"] == fingerprint()
    expected = small_bundle().score(some_rows()).ensemble
    np.testing.assert_allclose(bundle.score(some_rows()).ensemble, expected, rtol=0, atol=1e-6)


def test_an_alias_names_what_was_promoted_last_and_rolls_back(
    registry: Registry, experiment: str, tmp_path: Path
) -> None:
    first, second = (publish(registry, experiment, tmp_path, seed, "rollback") for seed in (1, 2))
    assert int(second.version) == int(first.version) + 1
    for version in (first, second, first):
        registry.promote(version.version, "champion", "rollback")
        assert registry.resolve("champion", "rollback").version == version.version


def test_a_rollback_returns_to_the_version_before_and_a_second_one_comes_back(
    registry: Registry, experiment: str, tmp_path: Path
) -> None:
    first, second = (publish(registry, experiment, tmp_path, seed, "back") for seed in (1, 2))
    registry.promote(first.version, name="back")
    with pytest.raises(RegistryUnavailable, match="has named no version but 1"):
        registry.roll_back(name="back")
    registry.promote(second.version, name="back")
    registry.promote(second.version, name="back")  # Again: the version before stays the first.
    assert registry.roll_back(name="back") == ("2", "1")
    assert registry.aliases("back") == {"champion": "1"}
    assert registry.roll_back(name="back") == ("1", "2")


def test_versions_are_listed_the_newest_first_with_the_reason_of_a_forced_promotion(
    registry: Registry, experiment: str, tmp_path: Path
) -> None:
    for seed in (1, 2, 3):
        publish(registry, experiment, tmp_path, seed, "listed")
    registry.promote("2", name="listed", reason="the champion leaks")
    listed = registry.versions("listed")
    assert [version.version for version in listed] == ["3", "2", "1"]
    assert listed[1].tags["tollgate.promoted_although_worse"] == "the champion leaks"


def test_publishing_moves_no_alias(registry: Registry, experiment: str, tmp_path: Path) -> None:
    first = publish(registry, experiment, tmp_path, 1, "still")
    registry.promote(first.version, name="still")
    publish(registry, experiment, tmp_path, 2, "still")
    assert registry.resolve("champion", "still").version == first.version


def test_a_missing_alias_is_named(registry: Registry, experiment: str, tmp_path: Path) -> None:
    publish(registry, experiment, tmp_path)
    with pytest.raises(RegistryUnavailable, match="no alias 'challenger' of the model 'tollgate'"):
        registry.resolve("challenger")


def test_a_missing_version_is_named(registry: Registry, experiment: str, tmp_path: Path) -> None:
    publish(registry, experiment, tmp_path)
    with pytest.raises(RegistryUnavailable, match="no version '999'"):
        registry.resolve("999")


def test_a_version_that_does_not_exist_cannot_be_promoted(registry: Registry) -> None:
    with pytest.raises(RegistryUnavailable, match="no version '998'"):
        registry.promote("998")


def test_a_missing_model_is_named(registry: Registry) -> None:
    with pytest.raises(RegistryUnavailable, match="the model 'nobody'"):
        registry.resolve("champion", "nobody")


def test_a_foreign_fingerprint_is_refused_with_the_version(
    registry: Registry, experiment: str, tmp_path: Path
) -> None:
    version = publish(registry, experiment, tmp_path).version
    with pytest.raises(BundleRefused, match=f"Version {version} of 'tollgate' is refused"):
        registry.load(MODEL_NAME, version, "0123")


def test_a_bundle_that_was_damaged_in_the_store_is_refused(
    registry: Registry, experiment: str, uri: str, tmp_path: Path
) -> None:
    published = publish(registry, experiment, tmp_path)
    artifacts = mlflow.MlflowClient(uri).get_run(published.run_id).info.artifact_uri
    (Path(artifacts.removeprefix("file://")) / "bundle" / "lr.json").write_text("{}")
    with pytest.raises(BundleRefused, match="SHA-256"):
        registry.load(MODEL_NAME, published.version, fingerprint())


@pytest.mark.parametrize("name", ["lr.json", "bundle.json", "xgb.onnx"])
def test_a_file_that_was_exchanged_together_with_its_manifest_is_refused_by_name(
    registry: Registry, experiment: str, tmp_path: Path, name: str
) -> None:
    version = publish(registry, experiment, tmp_path)
    stored = artifacts_of(registry, version)
    # A whole bundle of other models, with a manifest that fits it: only the registry knows that it is another.
    small_bundle(seed=1).save(tmp_path / "other")
    for file in (tmp_path / "other").iterdir():
        if file.name in (name, "bundle.json"):
            (stored / file.name).write_bytes(file.read_bytes())
    with pytest.raises(BundleRefused, match=r"bundle\.json of the bundle is not the file that was registered"):
        registry.load(MODEL_NAME, version.version, fingerprint())


def test_a_file_that_was_added_and_one_that_is_gone_are_refused_by_name(
    registry: Registry, experiment: str, tmp_path: Path
) -> None:
    version = publish(registry, experiment, tmp_path)
    added = artifacts_of(registry, version) / "model.pkl"
    added.touch()
    with pytest.raises(BundleRefused, match=r"model\.pkl"):
        registry.load(MODEL_NAME, version.version, fingerprint())
    added.unlink()
    (added.parent / "xgb.onnx").unlink()
    with pytest.raises(BundleRefused, match=r"xgb\.onnx"):
        registry.load(MODEL_NAME, version.version, fingerprint())


def test_a_version_of_an_earlier_release_without_digests_is_still_loaded(
    registry: Registry, experiment: str, tmp_path: Path
) -> None:
    version = publish(registry, experiment, tmp_path)
    client = mlflow.MlflowClient(registry.tracking_uri)
    for tag in version.tags:
        if tag.startswith("tollgate.sha256."):
            client.delete_model_version_tag(MODEL_NAME, version.version, tag)
    assert registry.load(MODEL_NAME, version.version, fingerprint())[0].manifest


def artifacts_of(registry: Registry, version: RegisteredVersion) -> Path:
    """Return the folder where the artifact store has the bundle."""
    uri = mlflow.MlflowClient(registry.tracking_uri).get_run(version.run_id).info.artifact_uri
    return Path(uri.removeprefix("file://")) / "bundle"


def test_an_absent_database_is_named_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(RegistryUnavailable, match=r"no registry at .*absent\.db"):
        Registry(f"sqlite:///{tmp_path}/absent.db").resolve("champion")
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("these are no tables")
    with pytest.raises(RegistryUnavailable, match=r"notes\.db is no SQLite database"):
        Registry(f"sqlite:///{tmp_path}/notes.db").resolve("champion")


def test_a_server_that_refuses_connections_is_named_without_its_password() -> None:
    password = secrets.token_hex(8)  # What a traceback shows of this file does not hold it.
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # Bound but not listening: connections are refused.
        port = reserved.getsockname()[1]
        with pytest.raises(RegistryUnavailable, match=f"http://127.0.0.1:{port} cannot be reached") as refusal:
            Registry(f"http://ada:{password}@127.0.0.1:{port}").resolve("champion")
    # Serve shows the whole traceback of a replica that fails.
    assert password not in "".join(traceback.format_exception(refusal.value))


def test_a_password_never_shows() -> None:
    assert public_address("postgresql://ada:secret@db/mlflow") == "postgresql://db/mlflow"
    assert public_address("sqlite:///mlflow.db") == "sqlite:///mlflow.db"


def test_the_registry_hands_out_the_bundle_class_itself() -> None:
    from training import registry as module

    assert module.Bundle is Bundle
