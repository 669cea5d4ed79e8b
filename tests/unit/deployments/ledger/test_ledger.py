"""The ledger on a real store: the first decision stands, and what the store does not take waits."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from deployments.ledger.ledger import Ledger
from deployments.ledger.stream import LogStream
from deployments.settings import BreakerSettings, RecordSettings
from features.claims import CLAIM_PREFIX
from features.errors import DecisionNotRecorded, OnlineStoreUnavailable
from features.online import AsyncOnlineStore, OnlineStore
from tests.unit.deployments.ledger.conftest import Circuits, Ledgers
from tests.unit.deployments.ledger.entries import POLICY, decided, entry_of_ids, transactions
from tests.unit.deployments.ledger.roads import LONG_S, Road, logged, nowhere


async def test_a_retry_gets_the_decision_that_stands(ledger: Ledger, log: LogStream) -> None:
    await ledger.record(entry_of_ids("a", "b", score=0.75), LONG_S)
    retry = entry_of_ids("c", "b", score=0.25)
    assert await ledger.record(retry, LONG_S)
    assert retry.decisions.probability.tolist() == [0.25, 0.75]
    assert retry.decisions.decision.tolist() == [0, 1]
    assert list(retry.decisions.earlier) == [1]
    assert logged(log) == {"a": 1, "b": 1, "c": 1}


async def test_another_body_under_a_decided_id_is_a_conflict_that_names_the_fields(
    ledger: Ledger, log: LogStream
) -> None:
    await ledger.record(entry_of_ids("a"), LONG_S)
    other = decided(transactions({"transaction_id": "a", "amount": 11, "merchant_id": "m"}))
    await ledger.record(other, LONG_S)
    assert other.decisions.conflicts == {0: ("merchant_id", "amount")}
    assert not other.decisions.earlier
    assert logged(log) == {"a": 1}


async def test_another_body_under_an_id_that_is_only_claimed_is_a_conflict(
    ledger: Ledger, store: AsyncOnlineStore, log: LogStream
) -> None:
    await store.observe(transactions({"transaction_id": "a"}))
    other = decided(transactions({"transaction_id": "a", "amount": 11}))
    await ledger.record(other, LONG_S)
    assert other.decisions.conflicts == {0: ("amount",)}
    assert not logged(log)


async def test_what_comes_twice_in_one_batch_is_decided_once(ledger: Ledger, log: LogStream) -> None:
    twice = decided(
        transactions({"transaction_id": "a"}, {"transaction_id": "a"}, {"transaction_id": "a", "amount": 11})
    )
    await ledger.record(twice, LONG_S)
    assert list(twice.decisions.earlier) == [1]
    assert twice.decisions.conflicts == {2: ("amount",)}
    assert logged(log) == {"a": 1}


async def test_of_copies_at_the_same_moment_one_decides_for_all(
    ledger_of: Ledgers, store: AsyncOnlineStore, tmp_path: Path, log: LogStream
) -> None:
    entries = [entry_of_ids("a", "b", "c", score=at / 10) for at in range(10)]
    await asyncio.gather(*(ledger_of(store, tmp_path / str(at)).record(e, LONG_S) for at, e in enumerate(entries)))
    answers = {tuple(entry.decisions.probability.tolist()) for entry in entries}
    assert len(answers) == 1
    assert sum(not entry.decisions.earlier for entry in entries) == 1
    assert logged(log) == {"a": 1, "b": 1, "c": 1}


async def test_a_decision_is_kept_for_as_long_as_the_settings_say(ledger: Ledger, client: redis.Redis) -> None:
    ledger.take(RecordSettings(timeout_ms=60_000, remember_hours=48), BreakerSettings(), POLICY)
    await ledger.record(entry_of_ids("a"), LONG_S)
    assert client.ttl(CLAIM_PREFIX + b"a") == 48 * 3600


async def test_what_entries_refer_to_is_kept_with_them(ledger: Ledger, log: LogStream) -> None:
    entry = entry_of_ids("a")
    await ledger.record(entry, LONG_S)
    found = log.references([POLICY.digest, entry.header.fingerprint, "unknown"])
    assert found[POLICY.digest] == POLICY.text
    assert set(found) == {POLICY.digest, entry.header.fingerprint}


async def test_what_another_release_left_is_recorded_without_a_guess_at_the_names_of_its_features(
    ledger: Ledger, log: LogStream
) -> None:
    entry = entry_of_ids("a")
    other = replace(entry, header=entry.header.model_copy(update={"fingerprint": "feedfeedfeedfeed"}))
    await ledger.record(other, LONG_S)
    assert set(log.references([POLICY.digest, "feedfeedfeedfeed"])) == {POLICY.digest}
    assert logged(log) == {"a": 1}


async def test_what_a_dead_store_does_not_take_is_recorded_and_counted_by_whoever_comes_next(
    ledger_of: Ledgers, store: AsyncOnlineStore, tmp_path: Path, log: LogStream, client: redis.Redis
) -> None:
    dead = ledger_of(nowhere(tmp_path), tmp_path / "spool")
    entries = [entry_of_ids("a", has_history=False), entry_of_ids("b", "a", has_history=False)]
    assert [await dead.record(entry, LONG_S) for entry in entries] == [False, False]
    assert "bytes of decisions wait" in dead.problem
    ledger_of.kill()
    later = ledger_of(store, tmp_path / "spool")
    assert await later.catch_up() == 2
    assert not later.problem
    assert logged(log) == {"a": 1, "b": 1}
    asked = transactions({"transaction_id": "then", "timestamp": 1_770_000_060})
    assert OnlineStore(client).observe(asked)["customer_count_1h"].tolist() == [2]


async def test_what_waits_stays_while_the_store_is_dead(ledger_of: Ledgers, tmp_path: Path) -> None:
    dead = ledger_of(nowhere(tmp_path), tmp_path / "spool")
    await dead.record(entry_of_ids("a", has_history=False), LONG_S)
    before = dead.problem
    with pytest.raises(OnlineStoreUnavailable):
        await dead.catch_up()
    assert dead.problem == before


async def test_a_record_that_the_store_took_but_did_not_confirm_is_not_decided_twice(
    ledger_of: Ledgers, store: AsyncOnlineStore, ledger: Ledger, tmp_path: Path, log: LogStream
) -> None:
    entry = entry_of_ids("a")
    await ledger.record(entry, LONG_S)
    unheard = ledger_of(nowhere(tmp_path), tmp_path / "spool")
    await unheard.record(entry, LONG_S)
    ledger_of.kill()
    assert await ledger_of(store, tmp_path / "spool").catch_up() == 1
    assert logged(log) == {"a": 1}


async def test_a_decision_that_is_durable_nowhere_is_refused(ledger_of: Ledgers, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("in the way of the folder")
    with pytest.raises(DecisionNotRecorded):
        await ledger_of(nowhere(tmp_path), tmp_path / "spool").record(entry_of_ids("a"), LONG_S)


async def test_a_full_spool_refuses(ledger_of: Ledgers, tmp_path: Path) -> None:
    ledger = ledger_of(nowhere(tmp_path), tmp_path / "spool")
    ledger.take(RecordSettings(timeout_ms=60_000, max_spool_bytes=2**20), BreakerSettings(), POLICY)
    entries = [entry_of_ids(*(f"{batch}.{n}" for n in range(1000))) for batch in range(10)]
    room = 2**20 // len(entries[0].to_bytes())
    for entry in entries[:room]:
        await ledger.record(entry, LONG_S)
    with pytest.raises(DecisionNotRecorded, match="wait for the store already"):
        await ledger.record(entries[room], LONG_S)
    assert not await ledger.record(entries[0], LONG_S)  # It is on the disk already.


async def test_a_store_that_keeps_failing_is_left_alone(ledger_of: Ledgers, tmp_path: Path) -> None:
    circuits = Circuits()
    ledger = ledger_of(nowhere(tmp_path), tmp_path / "spool", circuits)
    ledger.take(RecordSettings(timeout_ms=60_000), BreakerSettings(failures=2, pause_ms=600_000), POLICY)
    for name in ("a", "b", "c", "d"):
        assert not await ledger.record(entry_of_ids(name), LONG_S)
    assert circuits.failures == ["decision_log"] * 2
    assert circuits.states == [("decision_log", False), ("decision_log", True)]


async def test_while_the_store_is_away_a_retry_gets_the_decision_that_waits(
    ledger_of: Ledgers, tmp_path: Path
) -> None:
    dead = ledger_of(nowhere(tmp_path), tmp_path / "spool")
    await dead.record(entry_of_ids("a", score=0.75), LONG_S)
    retry = entry_of_ids("b", "a", score=0.25, has_history=False)
    assert not await dead.record(retry, LONG_S)
    assert retry.decisions.probability.tolist() == [0.25, 0.75]
    assert list(retry.decisions.earlier) == [1]
    other = decided(transactions({"transaction_id": "a", "amount": 11}))
    await dead.record(other, LONG_S)
    assert other.decisions.conflicts == {0: ("amount",)}


async def test_what_waits_is_recorded_before_a_retry_that_the_store_takes(
    ledger_of: Ledgers, store: AsyncOnlineStore, tmp_path: Path, log: LogStream
) -> None:
    road = Road(nowhere(tmp_path), store)
    ledger = ledger_of(road, tmp_path / "spool")
    await ledger.record(entry_of_ids("a", "b", score=0.75), LONG_S)
    road.open = True
    retry = entry_of_ids("a", score=0.25)
    assert await ledger.record(retry, LONG_S)
    assert retry.decisions.probability.tolist() == [0.75]
    assert await ledger.catch_up() == 1
    assert logged(log) == {"a": 1, "b": 1}


async def test_a_decision_that_was_refused_does_not_stand(
    ledger_of: Ledgers, store: AsyncOnlineStore, tmp_path: Path
) -> None:
    (tmp_path / "spool").write_text("in the way of the folder")
    road = Road(nowhere(tmp_path), store)
    ledger = ledger_of(road, tmp_path / "spool")
    with pytest.raises(DecisionNotRecorded):
        await ledger.record(entry_of_ids("a", score=0.75), LONG_S)
    road.open = True
    again = entry_of_ids("a", score=0.25)
    assert await ledger.record(again, LONG_S)
    assert again.decisions.probability.tolist() == [0.25]
