"""Training on real Ray workers: what they find together is what one process finds, and it reaches the registry."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO
from itertools import pairwise
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES, fingerprint
from features.errors import InvalidHistory, RegistryUnavailable
from tests.unit.training.bundles import TRANSFORMS, made_up_samples
from training.boosting import BoostingParameters, fit_boosted
from training.bundle import Period, Thresholds
from training.costs import Costs
from training.data_version import data_version
from training.evaluation.scored_rows import score_rows
from training.feature_files import EVENT_TIME, LABEL, FeatureTable, joined, write_features
from training.feature_rows import labelled_rows
from training.fit import FittedModels, fit
from training.fit_parameters import FitParameters
from training.history_files import read_days, split_by_day, writing_history
from training.logistic import newton
from training.metrics import score_metrics
from training.models import BoostedModel
from training.registry import MODEL_NAME, Registry
from training.report import TrainingReport
from training.samples import Samples
from training.simulate import simulate
from training.steps import learn_places
from training.train import train

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("local_ray"),
    # MLflow's own tables use what SQLAlchemy 2.1 deprecates.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),
]

ROWS = 6000
PARAMETERS = FitParameters(boosting=BoostingParameters(rounds=40, max_depth=4))

COSTS = Costs(review_minor=100, loss_share=0.9)


def filed(samples: Samples, folder: Path, files: int = 3) -> FeatureTable:
    """Return samples as rows in so many feature files."""
    folder.mkdir()
    columns = {name: samples.matrix[:, i] for i, name in enumerate(FEATURE_NAMES)}
    time = pa.array(np.arange(len(samples))).cast(pa.timestamp("ms", tz="UTC"))
    table = pa.table({EVENT_TIME: time, LABEL: pa.array(samples.labels.astype(np.int8)), **columns})
    bounds = np.linspace(0, len(table), files + 1).astype(int)
    return joined([write_features(folder / f"{a}.arrow", table.slice(a, b - a)) for a, b in pairwise(bounds)])


def fitted(folder: Path) -> FittedModels:
    train_rows = filed(made_up_samples(ROWS), folder / "train")
    validation_rows = filed(made_up_samples(2000, seed=1), folder / "validation")
    return fit(train_rows, validation_rows, workers=2, parameters=PARAMETERS)


@pytest.fixture(scope="module")
def on_two_workers(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> FittedModels:
    assert local_ray is None
    return fitted(tmp_path_factory.mktemp("rows"))


def test_logistic_regression_on_two_workers_equals_one_process(on_two_workers: FittedModels) -> None:
    samples = made_up_samples(ROWS)
    places = learn_places(samples, quantiles=PARAMETERS.step_quantiles)
    alone = newton(samples, TRANSFORMS, places=places)
    model = alone.model(FEATURE_NAMES, TRANSFORMS)
    assert on_two_workers.facts.lr_converged
    assert on_two_workers.facts.lr_steps == len(places) > 100
    np.testing.assert_array_equal(on_two_workers.lr.steps.above, places.above)
    np.testing.assert_allclose(on_two_workers.lr.steps.height, model.steps.height, atol=1e-9)
    np.testing.assert_allclose(on_two_workers.lr.coefficients, model.coefficients, atol=1e-9)
    assert on_two_workers.lr.intercept == pytest.approx(alone.intercept, abs=1e-9)


def test_boosted_trees_on_two_workers_rank_as_those_of_one_process(on_two_workers: FittedModels) -> None:
    train_rows, validation_rows, test = (made_up_samples(n, seed) for seed, n in enumerate((ROWS, 2000, 20_000)))
    alone = fit_boosted(train_rows, validation_rows, FEATURE_NAMES, PARAMETERS.boosting, threads=1, seed=0)
    one, two = (
        roc_auc_score(test.labels, model.probability(test.matrix))
        for model in (BoostedModel(alone.booster), on_two_workers.xgb)
    )
    assert two == pytest.approx(one, abs=0.005)
    assert two > 0.75


def test_the_same_data_and_workers_give_the_same_models(on_two_workers: FittedModels, tmp_path: Path) -> None:
    again = fitted(tmp_path)
    assert again.lr.to_json() == on_two_workers.lr.to_json()
    assert again.xgb.booster.save_raw() == on_two_workers.xgb.booster.save_raw()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated history of 60 days: every tenth row has no label, and every fifth fraud has it years later."""
    folder = tmp_path_factory.mktemp("history")
    simulate(folder / "whole", transactions=20_000, days=60, fraud_rate=0.05, show_progress=False)
    table = read_days(folder / "whole")
    labels = table.column("is_fraud").to_numpy()
    without = pa.array(labels, pa.int8(), mask=np.arange(len(labels)) % 10 == 0)
    table = table.set_column(table.column_names.index("is_fraud"), table.schema.field("is_fraud"), without)
    late = [{"known_at": datetime(2030, 1, 1, tzinfo=UTC), "is_fraud": 1}]
    known = table.schema.field("known_labels")
    cells = pa.array([late if i % 5 == 1 and fraud else None for i, fraud in enumerate(labels)], known.type)
    table = table.set_column(table.column_names.index("known_labels"), known, cells)
    with writing_history(folder / "history", overwrite=False) as writer:
        for day, rows in split_by_day(table):
            writer.write_day(day, rows)
    return folder / "history"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")


@pytest.fixture(scope="module")
def report(local_ray: None, history: Path, registry: Registry) -> TrainingReport:
    assert local_ray is None
    return train(
        history,
        tracking_uri=registry.tracking_uri,
        alias="challenger",
        workers=2,
        parameters=PARAMETERS,
        costs=COSTS,
        apply_thresholds=True,
        show_progress=False,
    )


def test_the_registered_bundle_scores_the_test_period_as_reported(
    report: TrainingReport, history: Path, registry: Registry, tmp_path: Path
) -> None:
    bundle, version = registry.load(MODEL_NAME, "challenger", fingerprint())
    assert version.version == report.version.version
    labelled = labelled_rows(history, report.split.test, tmp_path)
    scored, threshold = score_rows(bundle, labelled), bundle.manifest.thresholds.fraud
    metrics = {name: score_metrics(scored.labels, scores, threshold) for name, scores in scored.scores.items()}
    for name, expected in report.metrics.items():
        assert metrics[name].as_floats() == pytest.approx(expected.as_floats(), rel=1e-9)
        assert bundle.manifest.metrics[name] == pytest.approx(expected.as_floats(), rel=1e-9)


def test_the_thresholds_that_were_applied_are_those_of_the_bundle_and_the_card(
    report: TrainingReport, registry: Registry, tmp_path: Path
) -> None:
    bundle, version = registry.load(MODEL_NAME, "challenger", fingerprint())
    applied = report.by_cost.thresholds
    assert bundle.manifest.thresholds == report.thresholds == applied != Thresholds()
    assert json.loads(version.tags["thresholds"]) == applied.model_dump()
    assert bundle.card is not None
    assert bundle.card["settings"]["threshold"] == applied.fraud
    assert bundle.card["settings"]["costs"] == COSTS.model_dump()
    client = mlflow.MlflowClient(registry.tracking_uri)
    logged = json.loads(
        Path(client.download_artifacts(version.run_id, "thresholds.json", str(tmp_path))).read_text()
    )
    assert (logged["applied"], logged["costs"]) == (True, COSTS.model_dump())


def test_the_version_of_the_data_stands_in_the_run_the_bundle_and_the_registry(
    report: TrainingReport, history: Path, registry: Registry, tmp_path: Path
) -> None:
    expected = data_version(history)
    client = mlflow.MlflowClient(registry.tracking_uri)
    assert client.get_run(report.version.run_id).data.params["data_sha256"] == expected.sha256
    logged = json.loads(
        Path(client.download_artifacts(report.version.run_id, "data.json", str(tmp_path))).read_text()
    )
    assert (logged["sha256"], logged["files"]) == (expected.sha256, expected.files)
    bundle, version = registry.load(MODEL_NAME, "challenger", fingerprint())
    assert bundle.manifest.data_sha256 == version.tags["data_sha256"] == expected.sha256


def test_the_models_have_learned_something(report: TrainingReport) -> None:
    for metrics in report.metrics.values():
        assert metrics.roc_auc > 0.7


def test_rows_without_a_label_are_counted_and_left_out(report: TrainingReport) -> None:
    for part in report.counts.values():
        assert part.unlabelled == pytest.approx((part.labelled + part.unlabelled) / 10, abs=1)
    tested = report.metrics["lr"]
    counted = tested.true_positives + tested.false_positives + tested.false_negatives + tested.true_negatives
    assert counted == report.counts["test"].labelled


def test_frauds_that_nobody_knew_of_as_the_test_began_are_not_learned_and_judged_as_frauds(
    report: TrainingReport, history: Path, registry: Registry
) -> None:
    bundle, _ = registry.load(MODEL_NAME, "challenger", fingerprint())
    table = read_days(history)
    time = table.column("event_time").to_numpy()
    fraud = table.column("is_fraud").fill_null(0).to_numpy() == 1
    late = fraud & table.column("known_labels").is_valid().to_numpy()

    def count(rows: np.ndarray[tuple[int], np.dtype[np.bool_]], period: Period) -> int:
        since, until = (np.datetime64(moment.replace(tzinfo=None)) for moment in (period.since, period.until))
        return int(np.sum(rows & (time >= since) & (time < until)))

    learned, tested = report.split.train, report.metrics["lr"]
    assert count(late, learned) > 10
    assert bundle.manifest.training_frauds == count(fraud, learned) - count(late, learned)
    assert tested.true_positives + tested.false_negatives == count(fraud, report.split.test)
    assert report.late_labels is not None
    before = [learned, report.split.validation]
    assert report.late_labels.startswith(f"Of the {sum(count(fraud, part) for part in before):,} frauds before")
    assert f" {sum(count(late, part) for part in before):,} were not known as such" in report.late_labels
    assert bundle.manifest.training_rows == report.counts["train"].labelled - count(late, learned)


def test_the_report_reads_as_text(report: TrainingReport) -> None:
    text = as_text(report)
    assert f"Registered as version {report.version.version} of 'tollgate', now 'challenger'." in text
    for words in ("warm-up", "ensemble", "ROC AUC", f"{report.counts['test'].labelled:,}"):
        assert words in text
    assert "not promoted" in as_text(replace(report, alias=None))


def test_the_report_gives_its_figures_as_json(report: TrainingReport, history: Path) -> None:
    figures = json.loads(report.to_json())
    assert figures["version"] == report.version.version
    assert figures["data_sha256"] == data_version(history).sha256
    assert figures["test"]["ensemble"]["roc_auc"] == report.metrics["ensemble"].roc_auc


def as_text(report: TrainingReport) -> str:
    console = Console(width=120, file=StringIO())
    console.print(report)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_challenger_does_not_become_the_champion(report: TrainingReport, registry: Registry) -> None:
    assert registry.resolve("challenger").version == report.version.version
    with pytest.raises(RegistryUnavailable, match="no alias 'champion'"):
        registry.resolve("champion")


def test_a_registry_that_does_not_answer_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(RegistryUnavailable):
        train(tmp_path, tracking_uri="http://127.0.0.1:9", show_progress=False)


@pytest.mark.usefixtures("report")
def test_a_folder_that_is_no_history_is_said_so(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(InvalidHistory, match="holds no day="):
        train(tmp_path, tracking_uri=registry.tracking_uri, show_progress=False)
