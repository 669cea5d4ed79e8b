"""The ledger while the store is away and when it comes back: what was told is what is recorded, once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis

from deployments.ledger.ledger import Ledger
from deployments.ledger.spool import Spool
from deployments.ledger.stream import LogStream
from features.claims import CLAIM_PREFIX
from features.errors import OnlineStoreUnavailable
from features.online import AsyncOnlineStore
from tests.unit.deployments.ledger.conftest import Ledgers
from tests.unit.deployments.ledger.entries import decided, entry_of_ids, transactions
from tests.unit.deployments.ledger.roads import LONG_S, Road, logged, nowhere, recorded


@pytest.fixture
def road(store: AsyncOnlineStore, tmp_path: Path) -> Road:
    """A store that is away until the road is open."""
    return Road(nowhere(tmp_path), store)


@pytest.fixture
def ledger(ledger_of: Ledgers, road: Road, tmp_path: Path) -> Ledger:
    """A ledger whose store is at the end of the road."""
    return ledger_of(road, tmp_path / "spool")


async def test_what_waits_is_recorded_as_it_was_told_whatever_is_recorded_first(
    ledger: Ledger, road: Road, log: LogStream
) -> None:
    await ledger.record(entry_of_ids("a", score=0.75), LONG_S)
    # The client asks again for a, in one batch with b.
    await ledger.record(entry_of_ids("a", "b", score=0.25, has_history=False), LONG_S)
    road.open = True
    await ledger.record(entry_of_ids("b", score=0.5), LONG_S)
    await ledger.catch_up()
    assert recorded(log) == {"a": 0.75, "b": 0.25}


async def test_what_the_store_took_before_it_failed_again_still_stands(
    ledger: Ledger, road: Road, log: LogStream
) -> None:
    await ledger.record(entry_of_ids("a", score=0.75), LONG_S)
    road.open, road.closes_after = True, 1
    again = entry_of_ids("a", score=0.25)
    assert not await ledger.record(again, LONG_S)
    assert again.decisions.probability.tolist() == [0.75]
    road.open, road.closes_after = True, None
    await ledger.catch_up()
    assert recorded(log) == {"a": 0.75}


@pytest.mark.parametrize("changes", [{}, {"amount": 11}], ids=["a retry", "another body"])
async def test_what_was_told_and_does_not_stand_is_counted_and_named(
    ledger: Ledger,
    ledger_of: Ledgers,
    road: Road,
    store: AsyncOnlineStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
) -> None:
    await ledger.record(entry_of_ids("a", "b", score=0.75), LONG_S)
    # Another replica reaches the store, and decides one of them anew.
    other = ledger_of(store, tmp_path / "another")
    assert await other.record(decided(transactions({"transaction_id": "a", **changes})), LONG_S)
    assert ledger_of.superseded == []
    road.open = True
    # The client asks here again, before what waits is recorded.
    await ledger.record(entry_of_ids("a", score=0.5), LONG_S)
    assert await ledger.catch_up() == 1
    assert ledger_of.superseded == [1]
    [said] = [one.getMessage() for one in caplog.records if "does not stand" in one.getMessage()]
    assert "'a'" in said
    assert "0.75" in said


async def test_what_does_not_stand_is_counted_once_although_recording_is_cut_off(
    ledger: Ledger, ledger_of: Ledgers, road: Road, store: AsyncOnlineStore, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        await ledger.record(entry_of_ids(name, score=0.75), LONG_S)
    assert await ledger_of(store, tmp_path / "another").record(entry_of_ids("a", score=0.25), LONG_S)
    road.open, road.closes_after = True, 1
    with pytest.raises(OnlineStoreUnavailable):
        await ledger.catch_up()
    assert ledger_of.superseded == [1]
    road.open, road.closes_after = True, None
    assert await ledger.catch_up() == 2
    assert ledger_of.superseded == [1]


async def test_what_was_recorded_and_not_confirmed_stands(ledger: Ledger, ledger_of: Ledgers, road: Road) -> None:
    await ledger.record(entry_of_ids("a", score=0.75), LONG_S)
    road.open = True
    await ledger.record(entry_of_ids("a", score=0.25), LONG_S)
    assert await ledger.catch_up() == 1
    assert ledger_of.superseded == []


async def test_an_entry_that_cannot_be_read_keeps_none_behind_it_waiting(
    ledger: Ledger, road: Road, log: LogStream, tmp_path: Path
) -> None:
    await ledger.record(entry_of_ids("a", score=0.75), LONG_S)
    await ledger._spool.append(b"of another release", 2**30)
    await ledger.record(entry_of_ids("b", score=0.5), LONG_S)
    road.open = True
    assert await ledger.catch_up() == 2
    assert recorded(log) == {"a": 0.75, "b": 0.5}
    assert ledger.problem == "1 files of the spool could not be recorded to their end"
    [kept] = (tmp_path / "spool").glob("*.unread")
    assert b"of another release" in kept.read_bytes()
    assert await ledger.catch_up() == 0


async def test_who_gives_up_while_the_disk_is_busy_finds_what_is_recorded(
    ledger: Ledger, road: Road, log: LogStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, free = asyncio.Event(), asyncio.Event()
    append = Spool.append

    async def slow(self: Spool, entry: bytes, max_bytes: int) -> Path:
        busy.set()
        await free.wait()
        return await append(self, entry, max_bytes)

    monkeypatch.setattr(Spool, "append", slow)
    impatient = asyncio.create_task(ledger.record(entry_of_ids("a", score=0.75), LONG_S))
    await busy.wait()
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    again = entry_of_ids("a", score=0.25, has_history=False)
    retry = asyncio.create_task(ledger.record(again, LONG_S))
    await asyncio.sleep(0)
    free.set()
    assert not await retry
    road.open = True
    await ledger.catch_up()
    assert recorded(log) == {"a": again.decisions.probability[0]} == {"a": 0.75}


async def test_without_the_store_what_comes_twice_in_one_batch_is_decided_once(
    ledger: Ledger, road: Road, log: LogStream
) -> None:
    twice = decided(
        transactions({"transaction_id": "a"}, {"transaction_id": "a"}, {"transaction_id": "a", "amount": 11})
    )
    assert not await ledger.record(twice, LONG_S)
    assert list(twice.decisions.earlier) == [1]
    assert twice.decisions.conflicts == {2: ("amount",)}
    road.open = True
    assert await ledger.catch_up() == 1
    assert logged(log) == {"a": 1}


async def test_what_another_replica_recorded_is_forgotten(
    ledger_of: Ledgers,
    ledger: Ledger,
    road: Road,
    store: AsyncOnlineStore,
    tmp_path: Path,
    log: LogStream,
    client: redis.Redis,
) -> None:
    other = ledger_of(store, tmp_path / "spool")
    await ledger.record(entry_of_ids("a", "b", has_history=False), LONG_S)
    with pytest.raises(OnlineStoreUnavailable):
        await ledger.catch_up()
    assert await other.catch_up() == 1
    road.open = True
    assert await ledger.catch_up() == 0
    client.delete(CLAIM_PREFIX + b"a", CLAIM_PREFIX + b"b")  # A day later.
    await ledger.record(entry_of_ids("a"), LONG_S)
    assert logged(log) == {"a": 2, "b": 1}


async def test_what_a_replica_leaves_later_is_found(
    ledger_of: Ledgers, store: AsyncOnlineStore, tmp_path: Path, log: LogStream
) -> None:
    living = ledger_of(store, tmp_path / "spool")
    assert await living.catch_up() == 0
    await ledger_of(nowhere(tmp_path), tmp_path / "spool").record(entry_of_ids("a", has_history=False), LONG_S)
    ledger_of.kill()
    assert await living.catch_up() == 1
    assert logged(log) == {"a": 1}
