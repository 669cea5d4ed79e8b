from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.unit.training.tuning.made_up_study import FakeFits, Killed, folds, opened
from training.tuning.search import fits_left, search
from training.tuning.study import Study
from training.tuning.trial import FoldOutcome

VALUES = [
    *([0.5, 0.5, 0.5], [0.9, 0.1, 0.1], [0.6, 0.7, 0.8], [0.1, 0.99, 0.99], [0.7, 0.6, 0.6]),
    *([0.2, 0.3, 0.4], [0.3, 0.3, 0.3], [0.4, 0.4, 0.4], [None, 0.99, 0.99]),
]


def found(study: Study, fits: FakeFits, told: list[FoldOutcome] | None = None) -> int:
    outcomes: list[FoldOutcome] = [] if told is None else told
    return search(
        study,
        folds(3),
        trials=len(VALUES),
        reduction=3,
        score="ensemble",
        metric="average_precision",
        fit=fits,
        ended=outcomes.append,
    )


def seen(fits: FakeFits, trial: int) -> Sequence[str]:
    return sorted(fold for who, fold in fits.made if who == trial)


def test_only_trials_that_do_well_see_more_tests_and_the_best_mean_wins(tmp_path: Path) -> None:
    fits = FakeFits(VALUES)
    assert found(opened(tmp_path), fits) == 2
    assert seen(fits, 3) == ["fold 0"]
    assert seen(fits, 1) == ["fold 0", "fold 1"]
    assert seen(fits, 2) == ["fold 0", "fold 1", "fold 2"]


def test_the_defaults_see_every_test_however_they_do(tmp_path: Path) -> None:
    fits = FakeFits(VALUES)
    found(opened(tmp_path), fits)
    assert seen(fits, 0) == ["fold 0", "fold 1", "fold 2"]


@pytest.mark.parametrize("killed_after", range(14))
def test_a_search_that_was_killed_goes_on_with_what_is_left_and_finds_the_same(
    killed_after: int, tmp_path: Path
) -> None:
    undisturbed = FakeFits(VALUES)
    best = found(opened(tmp_path / "undisturbed"), undisturbed)
    first, second = FakeFits(VALUES, killed_after), FakeFits(VALUES)
    with pytest.raises(Killed):
        found(opened(tmp_path / "killed"), first)
    assert found(opened(tmp_path / "killed"), second) == best
    assert sorted(first.made + second.made) == sorted(undisturbed.made)


def test_a_search_that_has_ended_makes_no_fit_again(tmp_path: Path) -> None:
    best = found(opened(tmp_path), FakeFits(VALUES))
    assert found(opened(tmp_path), FakeFits(VALUES, killed_after=0)) == best


def test_what_is_kept_has_been_told_of(tmp_path: Path) -> None:
    study, told = opened(tmp_path), list[FoldOutcome]()
    with pytest.raises(Killed):
        found(study, FakeFits(VALUES, killed_after=5), told)
    assert len(told) == 5
    assert all(study.outcome(one.trial, one.fold) == one for one in told)


def test_the_fits_that_are_left_are_never_fewer_than_come(tmp_path: Path) -> None:
    study, fits = opened(tmp_path), FakeFits(VALUES)
    expected = fits_left(study, folds(3), len(VALUES), 3)
    found(study, fits)
    assert len(fits.made) <= expected <= len(fits.made) + 3
