"""What a figure was measured on: the machine, and the versions of what took part."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Final

import psutil

from loadtests.compare.environments import version_of
from loadtests.compare.systems import System

OWN: Final = (
    "tollgate",
    "ray",
    "fastapi",
    "uvicorn",
    "redis",
    "xgboost-cpu",
    "scikit-learn",
    "pandas",
    "numpy",
    "pyarrow",
)


def machine() -> dict[str, Any]:
    """Return cores, memory in bytes, kernel, Python, and the load average of the last minutes."""
    return {
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": list(os.getloadavg()),
    }


def versions(systems: Iterable[System]) -> dict[str, str]:
    """Return the version of each package that decides what is measured, by name."""
    own = {name: version(name) for name in OWN}
    peers = {
        system.name: version_of(system.server.requirements, system.name)
        for system in systems
        if system.server and system.server.requirements
    }
    return own | peers
