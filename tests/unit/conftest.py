"""How these tests use the machine."""

from tests.import_serve import pytest_configure
from tests.in_parallel import pytest_collection_finish, pytest_xdist_auto_num_workers

__all__ = ["pytest_collection_finish", "pytest_configure", "pytest_xdist_auto_num_workers"]
