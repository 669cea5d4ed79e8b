from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.experiment import flat
from training.fit_parameters import FitParameters
from training.tuning.errors import TuningRefused
from training.tuning.space import Choices, Range, draw_trials, load_space

DEFAULTS = FitParameters()


@given(seed=st.integers(0, 2**32))
def test_every_trial_lies_within_the_space_and_differs_from_the_defaults_there_alone(seed: int) -> None:
    space = load_space()
    first, *others = draw_trials(space, 5, seed, DEFAULTS)
    assert first == DEFAULTS
    usual = flat(DEFAULTS.model_dump())
    for trial in others:
        for name, value in flat(trial.model_dump()).items():
            match space.get(name):
                case None:
                    assert value == usual[name]
                case Choices(choices=choices):
                    assert value in choices
                case Range(low=low, high=high):
                    assert low <= value <= high


def test_the_same_seed_draws_the_same_trials_and_more_trials_begin_with_them() -> None:
    space = load_space()
    assert draw_trials(space, 9, 3, DEFAULTS)[:5] == draw_trials(space, 5, 3, DEFAULTS)
    assert draw_trials(space, 5, 3, DEFAULTS) != draw_trials(space, 5, 4, DEFAULTS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour: {low: 1, high: 2}", "colour: 1: Extra inputs"),
        ("boosting.colour: {low: 1, high: 2}", "boosting.colour: 1: Extra inputs"),
        ("boosting.eta: {low: 0.1, high: 2}", "boosting.eta: 2: .*less than or equal to 1"),
        ("l2: {low: 2, high: 1}", r"low \(2\) must be below high \(1\)"),
        ("l2: {low: 0, high: 1, scale: log}", "begin above 0"),
        ("boosting.max_depth: {low: 3, high: 6}", "max_depth.*valid integer"),
        ("l2: {choices: []}", "l2"),
        ("{}", "names no parameter"),
        ("[unclosed", "is not YAML"),
    ],
)
def test_a_space_that_no_fit_could_use_is_refused_by_name(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TuningRefused, match=words):
        load_space(file)


def test_a_space_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TuningRefused, match="There is no file"):
        load_space(tmp_path / "none.yaml")
