"""How often Python looks for garbage."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.garbage import FEW, MANY, collect_seldom
from deployments.models import XGBoost


@pytest.fixture
def thresholds() -> Iterator[tuple[int, int, int]]:
    """The thresholds of Python itself, which come back after the test."""
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield gc.get_threshold()
    gc.set_threshold(*before)


@pytest.mark.parametrize("objects", [MANY, FEW])
def test_collections_become_rare_but_not_never(thresholds: tuple[int, int, int], objects: int) -> None:
    collect_seldom(objects)
    assert gc.get_threshold()[0] == objects
    assert gc.isenabled()
    assert 10 * thresholds[0] < objects < 1_000_000


@pytest.mark.usefixtures("thresholds")
def test_of_several_parts_in_one_process_the_one_with_most_objects_decides() -> None:
    collect_seldom(MANY)
    collect_seldom(FEW)
    assert gc.get_threshold()[0] == MANY


@pytest.mark.usefixtures("thresholds")
async def test_a_model_in_a_process_of_its_own_collects_fewer_at_a_time(tmp_path: Path) -> None:
    XGBoost(f"sqlite:///{tmp_path}/registry.db")
    assert gc.get_threshold()[0] == FEW
