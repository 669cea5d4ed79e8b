"""Evaluation on real Ray: under a protocol, and of a registered version as a direct path finds it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score  # type: ignore[import-untyped]

from features.offline import offline_matrix
from tests.unit.training.bundles import small_bundle
from training.boosting import BoostingParameters
from training.bundle import Period
from training.evaluate import Evaluation, Output, evaluate_protocol, evaluate_version
from training.evaluation.errors import EvaluationRefused
from training.evaluation.metrics import MetricSettings
from training.evaluation.results import EvaluationResult
from training.experiment import open_experiment
from training.fit_parameters import FitParameters
from training.history_files import read_days
from training.registry import RegisteredVersion, Registry
from training.simulate import simulate
from training.train import train

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("local_ray"),
    # MLflow's own tables use what SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]

SETTINGS = MetricSettings(top_k=5, replicates=20)
PARAMETERS = FitParameters(boosting=BoostingParameters(rounds=20, max_depth=3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def history(folder: Path) -> Path:
    simulate(folder / "history", transactions=30_000, days=60, fraud_rate=0.05, show_progress=False)
    return folder / "history"


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(scope="module")
def version(registry: Registry, history: Path, folder: Path) -> RegisteredVersion:
    """A registered bundle whose manifest says that it was fitted on the first month."""
    from mlflow import MlflowClient

    first = first_day(history)
    bundle = small_bundle()
    period = Period(since=first, until=first + timedelta(days=30))
    bundle = replace(bundle, manifest=bundle.manifest.model_copy(update={"training_period": period}))
    bundle.save(folder / "bundle")
    experiment = open_experiment(registry.tracking_uri)
    run = MlflowClient(registry.tracking_uri).create_run(experiment)
    return registry.publish(folder / "bundle", run.info.run_id)


def first_day(history: Path) -> datetime:
    time: datetime = read_days(history).column("event_time")[0].as_py()
    return datetime(time.year, time.month, time.day, tzinfo=UTC)


@pytest.fixture(scope="module")
def under_protocol(local_ray: None, history: Path, registry: Registry, folder: Path) -> Evaluation:
    assert local_ray is None
    protocol = folder / "weekly.yaml"
    protocol.write_text(
        "{title: The last week, folds: 1, train_days: 21, validation: end, validation_days: 7, known_days: 1}",
        encoding="utf-8",
    )
    return evaluate_protocol(
        history,
        str(protocol),
        tracking_uri=registry.tracking_uri,
        parameters=PARAMETERS,
        settings=SETTINGS,
        output=Output(folder / "report", show_progress=False),
    )


def test_models_are_trained_on_the_days_of_the_protocol_and_beat_chance(under_protocol: Evaluation) -> None:
    found = under_protocol.result
    assert len(found.folds) == 1
    for metrics in found.overall.values():
        assert metrics.roc_auc.value > 0.5
    for fold in found.folds:
        assert fold.left_out > 0
        assert fold.train_rows == pytest.approx(30_000 * 14 / 60, rel=0.3)


def test_a_version_that_is_trained_under_a_protocol_is_the_one_that_the_protocol_judges(
    under_protocol: Evaluation, registry: Registry, history: Path, folder: Path
) -> None:
    report = train(
        history,
        tracking_uri=registry.tracking_uri,
        alias="weekly",
        protocol=str(folder / "weekly.yaml"),
        parameters=PARAMETERS,
        show_progress=False,
    )
    assert registry.resolve("weekly").version == report.version.version
    (fold,) = under_protocol.result.folds
    assert (report.split.train, report.split.test) == (fold.train, fold.test)
    for score, expected in under_protocol.result.overall.items():
        found = report.metrics[score]
        for name in ("roc_auc", "average_precision", "precision", "recall", "brier"):
            assert getattr(found, name) == pytest.approx(getattr(expected, name).value, abs=1e-9)


def test_files_and_figures_are_in_a_run_of_their_own(under_protocol: Evaluation, registry: Registry) -> None:
    from mlflow import MlflowClient

    text = (under_protocol.folder / "evaluation.json").read_text(encoding="utf-8")
    assert EvaluationResult.model_validate_json(text).overall == under_protocol.result.overall
    client = MlflowClient(registry.tracking_uri)
    assert under_protocol.run_id is not None
    run = client.get_run(under_protocol.run_id)
    assert run.info.status == "FINISHED"
    expected = under_protocol.result.overall["xgb"].average_precision.value
    assert run.data.metrics["evaluate_weekly/xgb_average_precision"] == pytest.approx(expected)
    files = {file.path for file in client.list_artifacts(under_protocol.run_id, "evaluate_weekly")}
    assert files == {"evaluate_weekly/evaluation.html", "evaluate_weekly/evaluation.json"}


def test_a_version_is_judged_on_exactly_the_rows_and_scores_of_the_direct_path(
    version: RegisteredVersion, registry: Registry, history: Path, folder: Path
) -> None:
    since = (first_day(history) + timedelta(days=40)).date()
    found = evaluate_version(
        history,
        tracking_uri=registry.tracking_uri,
        model=version.version,
        since=since,
        settings=SETTINGS,
        output=Output(folder / "version", show_progress=False),
    )
    table = read_days(history)
    time = table.column("event_time").cast(pa.int64()).to_numpy()
    judged = time >= datetime(since.year, since.month, since.day, tzinfo=UTC).timestamp() * 1000
    labels = table.column("is_fraud").to_numpy()[judged]
    scores = small_bundle().score(offline_matrix(table)[judged]).lr
    (fold,) = found.result.folds
    assert (fold.rows, fold.frauds, fold.left_out) == (judged.sum(), labels.sum(), 0)
    assert fold.customers == len(set(table.filter(pa.array(judged)).column("customer_id").to_pylist()))
    lr = found.result.overall["lr"]
    assert lr.roc_auc.value == pytest.approx(roc_auc_score(labels, scores))
    assert lr.average_precision.value == pytest.approx(average_precision_score(labels, scores))
    amounts = np.unique([one.grouping for one in found.result.slices])
    assert set(amounts) >= {"amount", "customer", "fraud pattern", "merchant"}
    assert found.run_id == version.run_id


def test_a_version_is_not_judged_on_days_that_it_has_seen(
    version: RegisteredVersion, registry: Registry, history: Path
) -> None:
    since = (first_day(history) + timedelta(days=33)).date()
    with pytest.raises(EvaluationRefused, match="needs one fitted on none after"):
        evaluate_version(history, tracking_uri=registry.tracking_uri, model=version.version, since=since)


def test_a_version_that_records_no_test_period_asks_for_one(
    version: RegisteredVersion, registry: Registry, history: Path
) -> None:
    with pytest.raises(EvaluationRefused, match="records no test period"):
        evaluate_version(history, tracking_uri=registry.tracking_uri, model=version.version)


def test_a_period_outside_the_history_is_refused(
    version: RegisteredVersion, registry: Registry, history: Path
) -> None:
    with pytest.raises(EvaluationRefused, match="is not within the history"):
        evaluate_version(
            history,
            tracking_uri=registry.tracking_uri,
            model=version.version,
            since=date(2100, 1, 1),
            until=date(2100, 1, 8),
        )
