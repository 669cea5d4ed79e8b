"""How often Python looks for garbage."""

import gc
from collections.abc import Iterator

import pytest

from deployments.garbage import THRESHOLDS, collect_seldom


@pytest.fixture
def thresholds() -> Iterator[tuple[int, int, int]]:
    """The thresholds of Python itself, which come back after the test."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield gc.get_threshold()
    gc.set_threshold(*before)


def test_collections_become_rare_but_not_never(thresholds: tuple[int, int, int]) -> None:
    collect_seldom()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.isenabled()
    assert thresholds[0] < THRESHOLDS[0] < 1_000_000
