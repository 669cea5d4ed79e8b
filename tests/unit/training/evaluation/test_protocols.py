from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from training.evaluation.errors import EvaluationRefused
from training.evaluation.protocols import Protocol, builtin_protocols, fold_of, folds_of, load_protocol, split_of
from training.split import DayCounts


def days(count: int = 136, frauds: int = 20, first: date = date(2018, 4, 1)) -> DayCounts:
    """Return the days of a history with 1,000 rows each, as the handbook's in its dates."""
    return DayCounts(first, np.full(count, 1000), np.full(count, frauds), np.zeros(count, np.int64))


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_week_of_chapter_3_trains_tests_and_waits_as_published() -> None:
    (fold,) = folds_of(load_protocol("handbook"), days())
    assert (fold.train.since, fold.train.until) == (day("2018-07-25"), day("2018-08-01"))
    assert (fold.test.since, fold.test.until) == (day("2018-08-08"), day("2018-08-15"))
    assert (fold.validation.since, fold.validation.until) == (day("2018-07-18"), day("2018-07-25"))
    assert fold.known_since == day("2018-07-25")


def test_validation_at_the_end_is_taken_from_training_which_then_begins_after_the_warm_up() -> None:
    (fold,) = folds_of(load_protocol("handbook-long"), days())
    assert (fold.train.since, fold.train.until) == (day("2018-05-05"), day("2018-07-25"))
    assert (fold.validation.since, fold.validation.until) == (day("2018-07-25"), day("2018-08-01"))
    assert fold.known_since == day("2018-07-25")
    assert fold.validation.until == day("2018-08-01")
    assert fold.whole.since == day("2018-05-05")


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("handbook", ["2018-04-01", "2018-07-18", "2018-07-25", "2018-08-01", "2018-08-08"]),
        ("handbook-long", ["2018-04-01", "2018-05-05", "2018-07-25", "2018-08-01", "2018-08-08"]),
    ],
)
def test_the_parts_of_a_fold_follow_each_other_without_a_gap_and_end_with_its_test(
    name: str, begins: list[str]
) -> None:
    fold = fold_of(load_protocol(name), days())
    split = split_of(fold, days())
    assert (split.train, split.validation, split.test) == (fold.train, fold.validation, fold.test)
    periods = list(split.periods().values())
    assert [period.since for period in periods] == [day(begin) for begin in begins]
    assert [period.until for period in periods] == [*(day(begin) for begin in begins[1:]), fold.test.until]
    order = ["train", "validation"] if name == "handbook-long" else ["validation", "train"]
    assert list(split.periods()) == ["warm_up", *order, "gap", "test"]


def test_where_one_test_is_needed_a_protocol_with_several_is_refused() -> None:
    with pytest.raises(EvaluationRefused, match="has 3 tests"):
        fold_of(load_protocol("handbook-earlier"), days())


def test_folds_without_dates_end_with_the_history() -> None:
    folds = folds_of(load_protocol("prequential"), days())
    assert [fold.name for fold in folds] == ["2018-07-18", "2018-07-25", "2018-08-01", "2018-08-08"]
    assert folds[-1].test.until == day("2018-08-15")


def test_folds_without_dates_end_where_labels_do() -> None:
    young = days(146)
    young.unlabelled[136:] = 1000
    assert folds_of(load_protocol("prequential"), young)[-1].test.until == day("2018-08-15")


@pytest.mark.parametrize("name", builtin_protocols())
def test_every_protocol_that_comes_with_tollgate_leaves_labels_time_to_become_known(name: str) -> None:
    for fold in folds_of(load_protocol(name), days()):
        assert (fold.test.since - max(fold.train.until, fold.validation.until)).days == 7
        assert fold.train.until <= fold.validation.since or fold.validation.until <= fold.train.since


def test_an_unknown_protocol_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(EvaluationRefused, match=r"no protocol 'handbok'.*handbook, handbook-earlier"):
        load_protocol("handbok")


def test_a_protocol_can_be_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("title: mine\ntest_since: [2018-08-01]\ntrain_days: 14\n", encoding="utf-8")
    (fold,) = folds_of(load_protocol(str(file)), days())
    assert (fold.train.until - fold.train.since).days == 14


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gap_days: 3", "gap_days.*greater than or equal to 7"),
        ("colour: red", "colour.*not permitted"),
        ("validation: end", "validation takes 7 of 7 days"),
        ("[unclosed", "is not YAML"),
        ("test_since: [2018-02-30]", "is not YAML"),
        ("test_since: [9999-12-31]", r"test_since\.0: Input should be less than"),
        ("test_since: [0001-01-05]", r"test_since\.0: Input should be greater than"),
        ("title: caf\udce9", "cannot be read"),
    ],
)
def test_a_malformed_protocol_file_says_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(EvaluationRefused, match=words):
        load_protocol(str(file))


def test_a_missing_protocol_file_is_refused() -> None:
    with pytest.raises(EvaluationRefused, match=r"no protocol file nowhere\.yaml"):
        load_protocol("nowhere.yaml")


def test_a_period_outside_the_history_is_refused_with_the_days_that_there_are() -> None:
    with pytest.raises(EvaluationRefused, match="2018-08-14, is not within the history, which goes from"):
        folds_of(load_protocol("handbook"), days(count=130))


def test_a_period_without_frauds_is_refused() -> None:
    with pytest.raises(EvaluationRefused, match="has 0 frauds among 7,000 labelled payments"):
        folds_of(Protocol(test_since=(date(2018, 8, 8),)), days(frauds=0))
