"""Ray for one training run: a small private cluster on this machine, or one that is running already."""

import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import ray

OBJECT_STORE_BYTES: Final = 256 * 1024**2
"""Object store of a private cluster: for what tasks are told and say; rows go through files."""

_AUTHENTICATION: Final = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}
"""Variables with which the environment says how Ray is to be guarded."""


@contextmanager
def local_ray(address: str | None = None, *, cores: int | None = None) -> Iterator[None]:
    """Have Ray running while the block runs; what was started here is stopped afterwards.

    Args:
        address: of a running cluster; None: use the Ray of this process if there is one, else start a private one.
        cores: of the private cluster; None: those that this process may use.
    """
    if ray.is_initialized():
        yield
        return
    if not _AUTHENTICATION & os.environ.keys():
        # Ray listens on all interfaces, and whoever calls it can run code: a token of this run's own keeps others
        # out. Without one a plain ray.init() would leave a token in the home folder, for all later clusters.
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is not None:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    else:
        # The watcher for machines that a cloud is about to take back: a process that this cluster has no use for.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        ray.init(
            address="local",
            num_cpus=cores or len(os.sched_getaffinity(0)),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    try:
        yield
    finally:
        ray.shutdown()
