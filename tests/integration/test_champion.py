"""What the launcher says of the champion, read from a real registry."""

import os
import traceback
from io import StringIO
from pathlib import Path

import mlflow
import pytest
import yaml
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from rich.console import Console

from cluster import status
from cluster.down import down
from cluster.hosts import Hosts
from cluster.processes import owned_by
from cluster.registry import Champion, champion
from cluster.serve_config import read_config, serves_the_champion
from cluster.settings import PROJECT, ClusterSettings
from cluster.steps import Steps
from cluster.up import champion_to_serve, check_release, up
from deployments.served_bundles import kept_bundles
from deployments.settings import ModelRef
from features.definitions import fingerprint
from features.errors import ClusterError
from tests.unit.training.bundles import small_bundle
from training.experiment import open_experiment
from training.registry import Registry

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
OTHER = "0123456789abcdef"
FOREIGN = Champion("2", OTHER)


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
    return settings.model_copy(
        update={"mlflow_uri_external": registry.tracking_uri, "config": PROJECT / "serve_config.yaml"}
    )


@pytest.fixture
def steps() -> Steps:
    return Steps(Console(file=StringIO(), width=400))


def said(steps: Steps) -> str:
    assert isinstance(steps.console.file, StringIO)
    return steps.console.file.getvalue()


@pytest.mark.parametrize(
    ("version", "found", "fits"), [("1", fingerprint(), True), ("2", OTHER, False), ("3", None, True)]
)
def test_the_champion_tells_whether_this_release_can_serve_it(
    registry: Registry, stack: ClusterSettings, steps: Steps, version: str, found: str | None, fits: bool
) -> None:
    registry.promote(version)
    assert champion(registry.tracking_uri) == champion_to_serve(stack, {}, steps) == Champion(version, found)
    assert Champion(version, found).fits == fits


def test_a_registry_that_refuses_is_reported_without_the_password_of_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException(
            "403 Forbidden for http://analyst:secret@models.example/api", error_code=PERMISSION_DENIED
        )

    monkeypatch.setattr(mlflow.MlflowClient, "get_model_version_by_alias", refuse)
    with pytest.raises(ClusterError, match="403 Forbidden") as refused:
        champion(f"sqlite:///{tmp_path}/mlflow.db")
    assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_an_empty_registry_has_no_champion(tmp_path: Path) -> None:
    assert champion(f"sqlite:///{tmp_path}/mlflow.db") is None


@pytest.mark.parametrize("found", [fingerprint(), None])
def test_a_champion_that_fits_needs_no_word(stack: ClusterSettings, steps: Steps, found: str | None) -> None:
    check_release(stack, Champion("1", found), steps, serving=False)
    assert not said(steps)


def test_up_deploys_nothing_where_nothing_would_decide(stack: ClusterSettings, steps: Steps) -> None:
    with pytest.raises(ClusterError, match=rf"Version 2, .* other features \({OTHER}\) .* \({fingerprint()}\)"):
        check_release(stack, FOREIGN, steps, serving=False)


def test_up_ends_before_it_starts_ray_where_nothing_would_decide(
    registry: Registry, stack: ClusterSettings, steps: Steps
) -> None:
    registry.promote("2")
    elsewhere = stack.model_copy(update={"data_folder": stack.home / "decisions" / "here"})
    try:
        with pytest.raises(ClusterError, match="nothing was deployed"):
            up(elsewhere, os.environ, steps)
        assert elsewhere.data.is_dir()
        assert "valkey" in {one.component for one in owned_by(stack.home)}
    finally:
        down(elsewhere, steps)


def test_up_goes_on_with_the_version_for_this_release_that_decided_last(
    registry: Registry, stack: ClusterSettings, steps: Steps, tmp_path: Path
) -> None:
    small_bundle().save(tmp_path / "bundle")
    kept = kept_bundles(registry.tracking_uri, stack.data / "models")
    kept.decides(ModelRef(), "1")
    with pytest.raises(ClusterError, match="nothing was deployed"):  # The note alone decides nothing.
        check_release(stack, FOREIGN, steps, serving=False)
    kept.keep("tollgate", "1", tmp_path / "bundle")
    check_release(stack, FOREIGN, steps, serving=False)
    assert "version 1, which decided last on this machine, goes on" in said(steps)


def test_what_runs_is_left_as_it_is(stack: ClusterSettings, steps: Steps) -> None:
    check_release(stack, FOREIGN, steps, serving=True)
    assert "goes on as it is" in said(steps)


def test_other_hosts_may_keep_a_version(stack: ClusterSettings, steps: Steps) -> None:
    several = stack.model_copy(update={"hosts": Hosts(node_address="10.0.0.1")})
    check_release(several, FOREIGN, steps, serving=False)
    assert "nodes that keep a version" in said(steps)


@pytest.mark.parametrize(
    "application",
    [
        {"deployments": [{"name": "Router", "user_config": {"model": {"alias": "next"}}}]},
        {"deployments": [{"name": "Fused", "user_config": {"model": {"name": "other"}}}]},
        {"args": {"tracking_uri": "https://models.example"}},
        {"args": {"data_folder": "/srv/tollgate"}},
    ],
)
def test_a_config_that_serves_something_else_is_the_replicas_to_judge(
    stack: ClusterSettings, steps: Steps, tmp_path: Path, application: dict[str, object]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"applications": [application]}))
    check_release(stack.model_copy(update={"config": path}), FOREIGN, steps, serving=False)
    assert not said(steps)


@pytest.mark.parametrize("name", ["serve_config.yaml", "serve_config.fused.yaml"])
def test_the_configs_of_the_project_serve_the_champion(name: str) -> None:
    assert serves_the_champion(read_config(PROJECT / name))


@pytest.mark.parametrize(("version", "named"), [("1", False), ("2", True)])
def test_the_status_says_whether_this_release_can_serve_the_champion(
    registry: Registry, stack: ClusterSettings, version: str, named: bool
) -> None:
    registry.promote(version)
    [part] = [part for part in status.status(stack) if part.name == "Model registry"]
    assert ("features this release does not compute" in part.detail) == named
