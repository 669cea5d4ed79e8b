"""The circuit breaker: when a dependency is left alone, and when it is tried again."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from deployments.breaker import Breaker
from deployments.settings import BreakerSettings
from features.errors import DependencyDown
from tests.unit.deployments.ledger.conftest import Circuits

LONG_S = 60.0


class Dependency:
    """Fails while it is told to, and counts its calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = True

    async def call(self) -> Any:
        self.calls += 1
        if self.fails:
            raise OSError("no answer")
        return "answer"


async def failing(breaker: Breaker, dependency: Dependency, times: int) -> None:
    for _ in range(times):
        with pytest.raises(OSError, match="no answer"):
            await breaker.call(LONG_S, dependency.call)


async def test_a_dependency_that_keeps_failing_is_not_called_any_more() -> None:
    circuits, dependency = Circuits(), Dependency()
    breaker = Breaker("store", circuits, BreakerSettings(failures=3, pause_ms=600_000))
    await failing(breaker, dependency, 3)
    with pytest.raises(DependencyDown, match="store"):
        await breaker.call(LONG_S, dependency.call)
    assert dependency.calls == 3
    assert circuits.states == [("store", False), ("store", True)]
    assert circuits.failures == ["store"] * 3


async def test_a_good_answer_in_between_begins_the_count_anew() -> None:
    circuits, dependency = Circuits(), Dependency()
    breaker = Breaker("store", circuits, BreakerSettings(failures=3, pause_ms=600_000))
    await failing(breaker, dependency, 2)
    dependency.fails = False
    assert await breaker.call(LONG_S, dependency.call) == "answer"
    dependency.fails = True
    await failing(breaker, dependency, 2)
    assert not breaker.is_open
    assert circuits.states == [("store", False)]


async def test_after_the_pause_one_call_tries_and_the_others_wait_for_its_end() -> None:
    circuits, dependency = Circuits(), Dependency()
    breaker = Breaker("store", circuits, BreakerSettings(failures=1, pause_ms=600_000))
    await failing(breaker, dependency, 1)
    breaker._try_at = 0.0  # The pause is over.
    gate = asyncio.Event()

    async def slow() -> str:
        await gate.wait()
        return "answer"

    tries = asyncio.create_task(breaker.call(LONG_S, slow))
    await asyncio.sleep(0)
    with pytest.raises(DependencyDown):
        await breaker.call(LONG_S, dependency.call)
    gate.set()
    assert await tries == "answer"
    assert not breaker.is_open
    assert circuits.states[-1] == ("store", False)


async def test_a_try_that_fails_begins_another_pause() -> None:
    dependency = Dependency()
    breaker = Breaker("store", Circuits(), BreakerSettings(failures=1, pause_ms=600_000))
    await failing(breaker, dependency, 1)
    breaker._try_at = 0.0
    await failing(breaker, dependency, 1)
    with pytest.raises(DependencyDown):
        await breaker.call(LONG_S, dependency.call)
    assert dependency.calls == 2


async def test_no_answer_in_time_is_a_failure() -> None:
    breaker = Breaker("store", Circuits(), BreakerSettings(failures=1, pause_ms=600_000))
    with pytest.raises(TimeoutError):
        await breaker.call(0.001, asyncio.Event().wait)
    assert breaker.is_open


async def test_a_dependency_that_stays_down_is_logged_when_it_fails_and_when_it_answers_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dependency = Dependency()
    breaker = Breaker("store", Circuits(), BreakerSettings(failures=2, pause_ms=1))
    while dependency.calls < 5:
        with pytest.raises((OSError, DependencyDown)):
            await breaker.call(LONG_S, dependency.call)
    dependency.fails = False
    while breaker.is_open:
        with suppress(DependencyDown):
            await breaker.call(LONG_S, dependency.call)
    assert [record.getMessage() for record in caplog.records] == [
        "store did not answer, 1 times in a row: OSError('no answer')",
        "store did not answer, 2 times in a row: OSError('no answer')",
        "store is left alone, and tried again every 1 ms",
        "store answers again",
    ]
