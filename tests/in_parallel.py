"""How tests that run in several processes use the machine: hooks for a conftest."""

import gc
import os

import pytest

# The workers fill the cores: a pool of threads in each, spinning as it waits, took a seventh of the time.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores: some of the time is waiting for servers and clocks."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or (os.cpu_count() or 1) + 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the collector from walking all that was imported, again and again."""
    gc.collect()
    gc.freeze()
