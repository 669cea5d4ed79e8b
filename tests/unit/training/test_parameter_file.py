from datetime import UTC, datetime
from pathlib import Path

import pytest

from training.boosting import BoostingParameters
from training.fit_parameters import FitParameters
from training.parameter_file import ParameterFile, ParametersRefused, Tuned, load_parameters, parameters_from

TUNED = Tuned(
    study="s",
    protocol="earlier-weeks",
    tests=("2018-07-25",),
    until=datetime(2018, 8, 1, tzinfo=UTC),
    objective="ensemble.average_precision",
    value=0.7,
    default_value=0.6,
    trials=9,
    seed=0,
    data_sha256="d",
    feature_fingerprint="f",
)


def written(text: str, folder: Path) -> Path:
    file = folder / "parameters.json"
    file.write_text(text, encoding="utf-8")
    return file


def test_what_was_written_is_read(tmp_path: Path) -> None:
    content = ParameterFile(parameters=FitParameters(l2=0.1 + 0.2), tuned=TUNED)
    assert load_parameters(written(content.model_dump_json(), tmp_path)) == content


def test_a_file_by_hand_may_leave_out_what_has_its_default(tmp_path: Path) -> None:
    file = written('{"parameters": {"l2": 3, "boosting": {"max_depth": 5}}}', tmp_path)
    expected = FitParameters(l2=3, boosting=BoostingParameters(max_depth=5))
    assert load_parameters(file).parameters == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"parameters": {"colour": 1}}', "parameters.colour: Extra inputs"),
        ('{"parameters": {"boosting": {"colour": 1}}}', "parameters.boosting.colour: Extra inputs"),
        ('{"l2": 1}', "l2: Extra inputs"),
        ('{"parameters": {"l2": -1}}', "parameters.l2: Input should be greater than 0"),
        ("not json", "Invalid JSON"),
    ],
)
def test_what_no_fit_could_use_is_refused_with_its_key(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ParametersRefused, match=words):
        load_parameters(written(text, tmp_path))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParametersRefused, match="There is no parameter file"):
        load_parameters(tmp_path / "none.json")


def test_a_run_says_where_its_parameters_came_from(tmp_path: Path) -> None:
    file = written(ParameterFile(tuned=TUNED).model_dump_json(), tmp_path)
    said = {"parameters_file": "parameters.json", "tuned_study": "s", "tuned_until": "2018-08-01"}
    assert parameters_from(file)[1] == said
    assert parameters_from(None) == (ParameterFile(), {})


def test_judging_on_days_that_were_searched_is_warned_of() -> None:
    tuned = ParameterFile(tuned=TUNED)
    assert "flatter" in (tuned.overlap(datetime(2018, 7, 31, tzinfo=UTC)) or "")
    assert tuned.overlap(datetime(2018, 8, 1, tzinfo=UTC)) is None
    assert ParameterFile().overlap(datetime(2018, 7, 31, tzinfo=UTC)) is None
