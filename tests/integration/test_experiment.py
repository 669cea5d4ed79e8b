"""What a training run leaves in MLflow, read back as a data scientist would."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features.definitions import FEATURE_NAMES
from features.errors import RegistryUnavailable
from tests.unit.training.bundles import small_bundle, some_rows
from training.experiment import EXPERIMENT, log_run, open_experiment, sklearn_pipeline

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")
"""MLflow's own tables use what SQLAlchemy 2.1 deprecates."""


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The address of a tracking store and the id of the one run in it."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/deep/mlflow.db"
    bundle = small_bundle()
    run_id = log_run(
        uri,
        open_experiment(uri),
        parameters={"l2": 1.0},
        metrics={"test_ensemble_roc_auc": 0.9},
        data={"history": "made up"},
        thresholds={"choice": {"review": 0.5}},
        lr=bundle.lr,
        xgb=bundle.xgb,
        sample=some_rows(),
    )
    return uri, run_id


def test_the_run_holds_parameters_metrics_and_data(logged: tuple[str, str], tmp_path: Path) -> None:
    client = mlflow.MlflowClient(logged[0])
    run = client.get_run(logged[1])
    assert run.data.params == {"l2": "1.0"}
    assert run.data.metrics == {"test_ensemble_roc_auc": 0.9}
    assert run.info.status == "FINISHED"
    data = Path(client.download_artifacts(logged[1], "data.json", str(tmp_path)))
    assert json.loads(data.read_text()) == {"history": "made up"}


def test_both_models_load_and_score_as_the_bundle_does(logged: tuple[str, str]) -> None:
    client = mlflow.MlflowClient(logged[0])
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    models = {m.name: m for m in client.search_logged_models([experiment.experiment_id])}
    assert set(models) == {"lr_model", "xgb_model"}
    frame, bundle = pd.DataFrame(some_rows(), columns=list(FEATURE_NAMES)), small_bundle()
    location = {name: model.artifact_location for name, model in models.items()}
    pipeline = mlflow.sklearn.load_model(location["lr_model"])
    np.testing.assert_allclose(pipeline.predict_proba(frame)[:, 1], bundle.lr.probability(some_rows()), atol=1e-9)
    booster = mlflow.xgboost.load_model(location["xgb_model"])
    np.testing.assert_array_equal(booster.inplace_predict(frame), bundle.xgb.probability(some_rows()))


def test_artifacts_lie_beside_the_database(logged: tuple[str, str]) -> None:
    folder = Path(logged[0].removeprefix("sqlite:///")).parent
    assert {path.name for path in folder.iterdir()} == {"mlflow.db", "mlartifacts"}


def test_the_experiment_is_made_once(logged: tuple[str, str]) -> None:
    assert open_experiment(logged[0]) == open_experiment(logged[0])


def test_logging_leaves_the_process_at_its_own_tracking_address(logged: tuple[str, str]) -> None:
    assert mlflow.get_tracking_uri() != logged[0]


def test_a_pipeline_that_differs_from_the_served_model_is_an_error() -> None:
    model = small_bundle().lr
    frame = pd.DataFrame(some_rows(), columns=list(FEATURE_NAMES))
    sklearn_pipeline(model, frame)
    wrong = replace(model)
    object.__setattr__(wrong, "_offset", wrong._offset + 1e-6)
    with pytest.raises(ValueError, match="differs"):
        sklearn_pipeline(wrong, frame)


def test_an_address_that_accepts_and_says_nothing_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RegistryUnavailable, match=f"{address} cannot be reached: it did not answer in time"):
            open_experiment(address)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("http://127.0.0.1:9", "Connection refused"), ("http://nowhere.invalid:5000", "Name or service not known")],
)
def test_an_address_that_does_not_answer_is_said_so_in_a_sentence(address: str, reason: str) -> None:
    with pytest.raises(RegistryUnavailable) as caught:
        open_experiment(address)
    assert str(caught.value).startswith(f"The registry at {address} cannot be reached: ")
    assert "HTTPConnectionPool" not in str(caught.value)
    assert reason in str(caught.value)
