"""How tests import Ray Serve: a hook for a conftest."""

import warnings

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Import Ray Serve once, where tests run: its own module warns of how it declares its fields."""
    if hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import ray.serve  # noqa: F401
