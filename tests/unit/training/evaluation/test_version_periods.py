from datetime import UTC, date, datetime

import pytest

from tests.unit.training.evaluation.test_protocols import days
from training.bundle import Period
from training.evaluation.errors import EvaluationRefused
from training.evaluation.version_periods import check_not_seen, period_fold


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


def test_a_test_that_begins_before_a_versions_own_could_hold_labels_that_it_learned() -> None:
    long_gap = {**PERIODS, "test": period("2018-08-01", "2018-08-15")}
    with pytest.raises(EvaluationRefused, match=r"learned what was known on 2018-08-01.*2018-07-25 begins before"):
        check_not_seen(period_fold(days(), long_gap, date(2018, 7, 25), None), long_gap, "3")
    check_not_seen(period_fold(days(), long_gap, date(2018, 8, 1), None), long_gap, "3")


def test_its_own_test_leaves_out_whom_it_left_out_when_the_version_was_made() -> None:
    recorded = {**PERIODS, "judging": period("2018-07-05", "2018-08-15")}
    assert period_fold(days(), recorded, None, None).known_since == recorded["judging"].since
    assert period_fold(days(), recorded, date(2018, 7, 20), None).known_since is None
    of_nobody = {**PERIODS, "judging": PERIODS["test"]}
    assert period_fold(days(), of_nobody, None, None).known_since is None
