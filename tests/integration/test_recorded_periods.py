"""The periods of a version, read from the run that made it."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.unit.training.bundles import small_bundle
from tests.unit.training.evaluation.test_version_periods import PERIODS
from training.evaluation.version_periods import version_periods
from training.experiment import open_experiment
from training.registry import RegisteredVersion

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


def test_the_periods_of_a_version_are_those_that_its_run_recorded(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    run_id = client.create_run(open_experiment(uri)).info.run_id
    manifest = small_bundle().manifest
    version = RegisteredVersion("tollgate", "1", run_id)
    assert version_periods(version, manifest, uri) == {"train": manifest.training_period}
    recorded = {name: one.model_dump(mode="json") for name, one in PERIODS.items()}
    client.log_dict(run_id, {"periods": recorded}, "data.json")
    assert version_periods(version, manifest, uri) == PERIODS
