from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.unit.training.bundles import small_bundle
from tests.unit.training.evaluation.test_protocols import days
from training.bundle import Period
from training.evaluation.errors import EvaluationRefused
from training.evaluation.version_periods import check_not_seen, period_fold, version_periods
from training.experiment import open_experiment
from training.registry import RegisteredVersion

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


def period(since: str, until: str) -> Period:
    return Period(
        since=datetime.fromisoformat(since).replace(tzinfo=UTC),
        until=datetime.fromisoformat(until).replace(tzinfo=UTC),
    )


PERIODS = {
    "train": period("2018-05-08", "2018-07-01"),
    "validation": period("2018-07-01", "2018-07-12"),
    "test": period("2018-07-19", "2018-08-15"),
}


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


def test_without_dates_a_version_is_judged_on_its_own_test_period() -> None:
    fold = period_fold(days(), PERIODS, None, None)
    assert (fold.test, fold.known_since) == (PERIODS["test"], None)
    assert fold.judging == PERIODS["test"]


def test_with_a_first_day_alone_it_is_judged_until_the_history_ends() -> None:
    fold = period_fold(days(), PERIODS, date(2018, 8, 1), None)
    assert fold.test == period("2018-08-01", "2018-08-15")


def test_with_a_last_day_alone_its_own_test_ends_there() -> None:
    fold = period_fold(days(), PERIODS, None, date(2018, 8, 1))
    assert fold.test == period("2018-07-19", "2018-08-01")


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(EvaluationRefused, match="before it begins"):
        period_fold(days(), PERIODS, date(2018, 8, 2), date(2018, 8, 2))


def test_a_version_without_a_test_period_needs_a_first_day() -> None:
    with pytest.raises(EvaluationRefused, match="say --since"):
        period_fold(days(), {"train": PERIODS["train"]}, None, None)


def test_labels_of_validation_count_as_seen() -> None:
    fold = period_fold(days(), PERIODS, None, None)
    check_not_seen(fold, PERIODS, "3")
    late = {**PERIODS, "validation": period("2018-07-01", "2018-07-13")}
    with pytest.raises(EvaluationRefused, match=r"Version 3 was fitted on payments until 2018-07-13"):
        check_not_seen(fold, late, "3")
