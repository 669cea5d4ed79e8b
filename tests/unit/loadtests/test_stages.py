"""The plans of load."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.stages import Stage, duration_s, parse_stages, soak, spike, steady, step, users_at

USERS = st.integers(1, 5000)
DURATIONS_S = st.floats(1, 1e5)


@pytest.mark.parametrize("plan", [steady, step, spike, soak])
@given(users=USERS, seconds=DURATIONS_S)
def test_each_plan_reaches_its_users_and_takes_its_time(plan: object, users: int, seconds: float) -> None:
    assert callable(plan)
    stages = plan(users, seconds)
    assert max(stage.users for stage in stages) == users
    assert min(stage.users for stage in stages) >= 1
    assert duration_s(stages) == pytest.approx(seconds)


def test_steady_is_one_load() -> None:
    assert {users_at(steady(40, 60), second) for second in range(60)} == {40}


def test_step_rises_in_equal_steps() -> None:
    assert [users_at(step(100, 50), second) for second in (0, 9, 10, 25, 49)] == [20, 20, 40, 60, 100]


def test_spike_is_sudden_and_goes_as_it_came() -> None:
    assert [users_at(spike(80, 100), second) for second in (39, 40, 59, 60, 99)] == [10, 80, 80, 10, 10]


def test_soak_rises_through_a_tenth_and_stays() -> None:
    plan = soak(50, 600)
    assert [users_at(plan, second) for second in (0, 6, 54, 60, 599)] == [5, 10, 50, 50, 50]


def test_after_the_last_stage_there_is_no_load() -> None:
    assert users_at((Stage(2, 5), Stage(3, 7)), 4.9) == 7
    assert users_at((Stage(2, 5), Stage(3, 7)), 5.0) is None


@pytest.mark.parametrize("text", ["", "20", "20x", "x5", "20x4,", "-1x3", "0x3", "3x0", "20x4;30x5"])
def test_a_plan_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="20x4,30x64,20x4"):
        parse_stages(text)


@given(st.lists(st.tuples(st.integers(1, 999), st.integers(1, 999)), min_size=1))
def test_a_plan_reads_as_it_is_written(pairs: list[tuple[int, int]]) -> None:
    assert parse_stages(",".join(f"{s}x{u}" for s, u in pairs)) == tuple(Stage(s, u) for s, u in pairs)
