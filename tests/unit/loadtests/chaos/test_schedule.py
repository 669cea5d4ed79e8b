"""The schedule of a soak: from the seed alone, and fair to every fault."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from loadtests.chaos.schedule import CALM_END_S, FIRST_S, SHORTEST_S, schedule

NAMES = ["a", "b", "c"]
SEEDS = st.integers(0, 2**32)


@given(SEEDS)
def test_the_same_seed_gives_the_same_schedule(seed: int) -> None:
    assert schedule(NAMES, 600, seed) == schedule(NAMES, 600, seed)


@given(SEEDS, st.floats(30, 4000))
def test_faults_strike_in_order_with_pauses_and_leave_a_calm_end(seed: int, seconds: float) -> None:
    times = [at_s for at_s, _ in schedule(NAMES, seconds, seed)]
    assert times[0] == FIRST_S
    assert all(later - sooner >= SHORTEST_S for sooner, later in pairwise(times))
    assert times[-1] <= seconds - CALM_END_S


@given(SEEDS)
def test_every_fault_comes_before_one_comes_again(seed: int) -> None:
    names = [name for _, name in schedule(NAMES, 1000, seed)]
    for at in range(0, len(names) - 2, 3):
        assert sorted(names[at : at + 3]) == NAMES


def test_seeds_differ() -> None:
    assert len({tuple(schedule(NAMES, 600, seed)) for seed in range(10)}) == 10
