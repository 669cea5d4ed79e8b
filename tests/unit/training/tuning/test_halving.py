import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from training.tuning.halving import DEFAULTS, ranked, rungs, survivors


@given(trials=st.integers(2, 500), folds=st.integers(1, 20), reduction=st.integers(2, 10))
def test_tests_grow_to_all_of_them_while_trials_shrink(trials: int, folds: int, reduction: int) -> None:
    stages = rungs(trials, folds, reduction)
    assert stages[0].trials == trials
    assert (stages[0].before, stages[-1].folds) == (0, folds)
    for earlier, later in pairwise(stages):
        assert earlier.folds == later.before < later.folds
        assert 1 <= later.trials <= max(1, math.ceil(earlier.trials / reduction))


@given(st.dictionaries(st.integers(1, 50), st.floats(0, 1) | st.just(math.nan), min_size=1), st.integers(1, 10))
def test_the_best_survive_and_the_defaults_with_them(means: dict[int, float], count: int) -> None:
    means = {DEFAULTS: 0.0, **means}
    left = survivors(means, count)
    assert DEFAULTS in left
    others = [means[trial] for trial in means if trial not in left]
    worst = min((means[t] for t in left if t != DEFAULTS and not math.isnan(means[t])), default=math.inf)
    assert all(math.isnan(value) or value <= worst for value in others)


def test_a_failed_trial_is_last_and_of_equals_the_earlier_first() -> None:
    assert ranked({0: 0.5, 1: math.nan, 2: 0.7, 3: 0.7}) == [2, 3, 0, 1]
