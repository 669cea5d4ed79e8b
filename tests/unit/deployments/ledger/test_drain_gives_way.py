"""The drain gives way to those that decide, and nobody else in its process does."""

import asyncio
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis

from deployments.ledger.log import NICENESS, REST, DecisionLog


def niceness() -> int:
    """Return that of the thread that asks."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.parametrize(("yields", "more"), [(True, NICENESS), (False, 0)])
def test_the_drain_alone_gives_way_and_only_where_the_process_is_its_own(
    tmp_path: Path, yields: bool, more: int
) -> None:
    before = niceness()
    log = DecisionLog("redis://127.0.0.1:1/0", tmp_path, yields)
    assert asyncio.run(log._run(niceness)) == min(before + more, 19)
    assert niceness() == before


@pytest.mark.parametrize(
    ("turn", "drain_name"), [("_drain_decisions", "_drain"), ("_drain_labels", "_label_drain")]
)
async def test_a_turn_that_took_longer_than_the_time_between_two_is_followed_by_one_without_rests(
    client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turn: str, drain_name: str
) -> None:
    url = f"unix://{client.get_connection_kwargs()['path']}?db={client.get_connection_kwargs()['db']}"
    deployment = DecisionLog(url, tmp_path)
    deployment._settings.take({"drain_interval_s": 60})
    drain = getattr(deployment, drain_name)
    assert drain.rest == REST
    for took_s, rest in ((61.0, 0), (59.0, REST)):
        clock = SimpleNamespace(monotonic=iter([0.0, took_s]).__next__)
        monkeypatch.setattr("deployments.ledger.log.time", clock)
        await getattr(deployment, turn)()
        assert drain.rest == rest
