"""The stack with a config for trials, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from cluster.record import remembered
from cluster.settings import ClusterSettings
from loadtests.chaos.configured import configured
from tests.import_serve import pytest_configure
from tests.stack import Stack

__all__ = ["pytest_configure", "standing"]


@pytest.fixture(scope="session")
def standing(stack: Stack) -> Iterator[ClusterSettings]:
    """The settings of the stack, one replica of each deployment, and a deadline that a busy machine keeps."""
    settings = remembered(stack.home)
    assert settings is not None
    with configured(settings, 1) as changed:
        yield changed
