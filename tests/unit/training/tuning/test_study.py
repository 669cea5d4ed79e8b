from pathlib import Path

import pytest

from tests.unit.training.tuning.made_up_study import opened
from training.tuning.errors import TuningRefused
from training.tuning.study import OUTCOMES_FILE, ROWS_FOLDER, STUDY_FILE
from training.tuning.trial import FoldOutcome

OUTCOME = FoldOutcome(trial=1, fold="a", metrics={"lr": {"roc_auc": 0.1 + 0.2}})


def test_an_outcome_is_there_bit_for_bit_when_the_study_is_opened_again(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.keep(OUTCOME)
    again = opened(tmp_path)
    assert again.id == study.id
    assert again.outcome(1, "a") == OUTCOME
    assert again.outcome(1, "b") is None


def test_half_a_line_of_a_killed_search_is_cut_off_and_what_follows_is_whole(tmp_path: Path) -> None:
    opened(tmp_path).keep(OUTCOME)
    with (tmp_path / OUTCOMES_FILE).open("a", encoding="utf-8") as file:
        file.write('{"trial": 2, "fo')
    study = opened(tmp_path)
    other = OUTCOME.model_copy(update={"trial": 2})
    study.keep(other)
    assert (opened(tmp_path).outcome(1, "a"), opened(tmp_path).outcome(2, "a")) == (OUTCOME, other)


@pytest.mark.parametrize("changed", [{"seed": 1}, {"data_sha256": "other"}, {"space": {"l2": {"low": 1}}}])
def test_another_search_is_not_gone_on_with(changed: dict[str, object], tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(TuningRefused, match=rf"other settings \({next(iter(changed))}\)"):
        opened(tmp_path, **changed)


def test_a_search_of_another_release_is_refused_and_forgotten_by_a_restart(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / ROWS_FOLDER).mkdir()
    text = (tmp_path / STUDY_FILE).read_text(encoding="utf-8")
    (tmp_path / STUDY_FILE).write_text(text.replace("{", '{"colour": "red",', 1), encoding="utf-8")
    with pytest.raises(TuningRefused, match=r"study\.json cannot be read, as that of another release: colour: "):
        opened(tmp_path)
    opened(tmp_path, restart=True)
    assert not (tmp_path / ROWS_FOLDER).exists()
    opened(tmp_path)


def test_a_restart_forgets_outcomes_but_keeps_features_of_the_same_data(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.keep(OUTCOME)
    (tmp_path / ROWS_FOLDER).mkdir()
    again = opened(tmp_path, restart=True, seed=1)
    assert again.id != study.id
    assert again.outcome(1, "a") is None
    assert (tmp_path / ROWS_FOLDER).exists()
    opened(tmp_path, restart=True, seed=1, data_sha256="other")
    assert not (tmp_path / ROWS_FOLDER).exists()


def test_outcomes_that_cannot_be_read_are_said_so(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / OUTCOMES_FILE).write_text("garbage\n", encoding="utf-8")
    with pytest.raises(TuningRefused, match="cannot be read"):
        opened(tmp_path)
