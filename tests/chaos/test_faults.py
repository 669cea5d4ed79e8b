"""Every fault and every change in turn, under one load each: nothing is lost, and nothing is counted twice."""

import os

import pytest
from rich.console import Console

from cluster.settings import ClusterSettings
from loadtests.chaos.campaign import run_trials
from loadtests.chaos.changes import CHANGES
from loadtests.chaos.faults import FAULTS
from loadtests.chaos.soak import soak
from loadtests.chaos.trial import Trial

pytestmark = pytest.mark.chaos

RATE = 20.0
SEED = int(os.environ.get("CHAOS_SEED", "1"))
"""Of the schedule; another one is another order of faults."""
SOAK_S = 120.0
PAUSES_S = (4.0, 6.0)
"""So short that faults meet a stack that has not recovered from the last, and each strikes about twice."""


def test_changes_under_load_show_in_no_request(standing: ClusterSettings) -> None:
    trial = Trial("changes", "every change in turn", [(2.0, change) for change in CHANGES.values()], 5.0)
    result = run_trials(standing, [trial], RATE, SEED, may_interrupt=False, console=Console(stderr=True))
    assert result.problems == []
    [row] = result.rows
    assert (row.failed, row.lost, row.counted_twice) == (0, 0, 0)


def test_a_soak_with_every_fault_loses_nothing_and_counts_nothing_twice(standing: ClusterSettings) -> None:
    trial = soak(list(FAULTS), SOAK_S, SEED, PAUSES_S)
    assert {act for _, act in trial.acts} == set(FAULTS.values())
    result = run_trials(standing, [trial], RATE, SEED, may_interrupt=True, console=Console(stderr=True))
    assert result.problems == []
    [row] = result.rows
    assert (row.failed, row.lost, row.counted_twice, row.uncounted) == (0, 0, 0, 0)
