"""A clock that a test moves by hand, and no bound on the time of an example."""

import asyncio
from pathlib import Path

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


@pytest.fixture
def own_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let what is kept on this machine lie in a folder of the test's own."""
    monkeypatch.setenv("TOLLGATE_DATA_FOLDER", str(tmp_path))
