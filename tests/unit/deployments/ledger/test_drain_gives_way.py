"""The drain gives way to those that decide, and nobody else in its process does."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from deployments.ledger.log import NICENESS, DecisionLog


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
