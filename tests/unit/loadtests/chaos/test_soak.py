"""A soak is the faults of a schedule, in its order and at its times; unknown names are refused."""

import pytest

from features.errors import ClusterError
from loadtests.chaos.__main__ import chosen
from loadtests.chaos.faults import FAULTS
from loadtests.chaos.schedule import schedule
from loadtests.chaos.soak import soak


def test_a_soak_strikes_as_its_schedule_says() -> None:
    planned = schedule(list(FAULTS), 600, 7)
    trial = soak(list(FAULTS), 600, 7)
    assert list(trial.acts) == [(at_s, FAULTS[name]) for at_s, name in planned]
    assert trial.seconds == 600
    assert "seed 7" in trial.words


def test_names_are_chosen_in_the_order_of_the_list_and_unknown_ones_refused() -> None:
    assert chosen("c, a", ["a", "b", "c"]) == ["a", "c"]
    assert chosen("all", ["a", "b"]) == ["a", "b"]
    with pytest.raises(ClusterError, match="meteor: unknown; there are a, b"):
        chosen("a,meteor", ["a", "b"])
