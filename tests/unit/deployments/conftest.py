"""A clock that a test moves by hand, and no bound on the time of an example."""

import asyncio

import pytest
from hypothesis import settings

# How long an example takes depends on the machine; pytest's own timeout ends what hangs.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the running loop, in seconds, in a list of one; a test moves it by hand."""
    now = [1000.0]
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda _: now[0])
    return now
