"""An online store and a small local Ray, started once and stopped at the end."""

import logging
import warnings
from collections.abc import Iterator

import pytest
import ray
import ray.data
import redis

from features.online import OnlineStore


@pytest.fixture(scope="session")
def store(valkey_socket: str) -> Iterator[OnlineStore]:
    """An online store; tests clear it themselves, because one test may replay many histories."""
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        yield OnlineStore(client)


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray of two CPUs in this machine alone."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=300_000_000,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
        with warnings.catch_warnings():
            # Settings of Ray Data, which Ray Train makes, warn of their own deprecated fields when first made.
            warnings.simplefilter("ignore", DeprecationWarning)
            ray.data.DataContext.get_current()
        yield
        ray.shutdown()
