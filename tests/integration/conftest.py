"""How these tests use the machine, and the sockets, settings and processes that the launcher's tests have."""

from tests.import_serve import pytest_configure
from tests.in_parallel import pytest_collection_finish, pytest_xdist_auto_num_workers
from tests.unit.cluster.conftest import listener, script, settings, start

__all__ = [
    "listener",
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_xdist_auto_num_workers",
    "script",
    "settings",
    "start",
]
