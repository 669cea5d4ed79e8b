"""The drain: each decided transaction is archived once, wherever a drain dies, and however many run."""

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import redis

from deployments.ledger import drain
from deployments.ledger.archive import Archive
from deployments.ledger.drain import Drain, Drained
from deployments.ledger.ledger import LOG_KEY, Ledger
from deployments.ledger.stream import LogStream, log_client
from features.definitions import DAY_MS
from features.errors import ForeignLog, OnlineStoreUnavailable
from tests.unit.deployments.ledger.deaths import Killed, killed_at
from tests.unit.deployments.ledger.entries import POLICY, entry_of_ids

LONG_S = 60.0


def archived(archive: Archive) -> Counter[str]:
    """Return how often each transaction is in the archive."""
    tables = [table for day in archive.days() for table in archive.tables(day)]
    return Counter(i for table in tables for i in table.column("transaction_id").to_pylist())


async def record(ledger: Ledger, *batches: tuple[str, ...]) -> None:
    for ids in batches:
        await ledger.record(entry_of_ids(*ids), LONG_S)


async def test_what_is_drained_is_archived_with_all_that_it_came_from(
    ledger: Ledger, log: LogStream, tmp_path: Path
) -> None:
    entry = entry_of_ids("b", "a")
    await ledger.record(entry, LONG_S)
    archive = Archive(tmp_path / "archive")
    assert Drain(log, archive).cycle() == Drained(1, 2)
    assert (log.length(), Drain(log, archive).cycle()) == (0, Drained(0, 0))
    [day] = archive.days()
    [table] = archive.tables(day)
    assert table.column("transaction_id").to_pylist() == ["a", "b"]
    row = table.to_pylist()[1]
    assert row["features"] == entry.matrix[0].tolist()
    assert (row["lr"], row["rules"], row["lr_version"]) == (0.25, ["a_rule"], "7")
    assert (row["latency_ms"], row["degraded"], row["policy"]) == (6.5, ["xgb"], POLICY.digest)
    assert archive.reference("policies", POLICY.digest) == POLICY.text
    assert archive.reference("features", row["fingerprint"]).startswith('["amount"')


async def test_rows_that_were_decided_before_are_not_archived_again(
    ledger: Ledger, log: LogStream, tmp_path: Path
) -> None:
    await record(ledger, ("a", "b"), ("b", "c"), ("a",))
    archive = Archive(tmp_path)
    assert Drain(log, archive).cycle() == Drained(2, 3)
    assert archived(archive) == {"a": 1, "b": 1, "c": 1}


class Clock:
    """Stands for the time of a thread that works half a second a piece; calls back when it sleeps."""

    def __init__(self, on_sleep: Callable[[float], object]) -> None:
        self.sleep = on_sleep
        self._asked = count()

    def thread_time(self) -> float:
        return 0.5 * ((next(self._asked) + 1) // 2)


async def test_a_cycle_in_pieces_archives_the_same_and_rests_after_each(
    ledger: Ledger, log: LogStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(ledger, ("a", "b", "c"), ("d", "e", "f"), ("g",), ("h", "a"), ("i",))
    waiting: list[int] = []
    monkeypatch.setattr(drain, "ENTRIES_A_PIECE", 2)
    monkeypatch.setattr(drain, "ROWS_A_PIECE", 3)
    monkeypatch.setattr(drain, "time", Clock(lambda _: waiting.append(log.length())))
    archive = Archive(tmp_path)
    assert Drain(log, archive).cycle() == Drained(5, 9)
    # Three rows, three rows, two entries, the last; and once they are archived and deleted.
    assert waiting == [5, 5, 5, 5, 0]
    assert archived(archive) == dict.fromkeys("abcdefghi", 1)
    [day] = archive.days()
    assert len(list(archive.tables(day))) == 1


@pytest.mark.parametrize(("rest", "slept"), [(0.0, [0.0, 0.0]), (1.5, [0.75, 0.75]), (9.0, [1.0, 1.0])])
async def test_it_rests_for_what_its_thread_has_worked_but_for_a_second_at_most(
    ledger: Ledger,
    log: LogStream,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rest: float,
    slept: list[float],
) -> None:
    await record(ledger, ("a",))
    rests: list[float] = []
    monkeypatch.setattr(drain, "time", Clock(rests.append))
    assert Drain(log, Archive(tmp_path), rest).cycle() == Drained(1, 1)
    assert rests == slept


async def test_what_comes_during_a_drain_has_its_turn_later(
    ledger: Ledger, log: LogStream, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(ledger, ("a",), ("b",), ("c",))
    fields = client.xrange(LOG_KEY)[0][1]
    monkeypatch.setattr(drain, "ENTRIES_A_PIECE", 1)
    monkeypatch.setattr(drain, "time", Clock(lambda _: client.xadd(LOG_KEY, fields)))
    steady = Drain(log, Archive(tmp_path))
    through = steady.end()
    assert steady.cycle(2, through) == Drained(2, 2, more=True)
    assert steady.cycle(2, through) == Drained(1, 1)
    assert log.length() == 5  # What came at each rest: of two entries and a file, and of one and a file.
    assert steady.cycle() == Drained(5, 5)


async def test_a_drain_that_dies_anywhere_loses_nothing_and_repeats_nothing(
    ledger: Ledger, log: LogStream, client: redis.Redis, tmp_path: Path
) -> None:
    step = 0
    finished = False
    while not finished:
        step += 1
        names = [tuple(f"{step}.{at}.{n}" for n in range(2)) for at in range(3)]
        await record(ledger, *names)
        archive = Archive(tmp_path / str(step))
        with pytest.MonkeyPatch.context() as monkeypatch:
            steps = killed_at(
                step, monkeypatch, (os, "link"), (os, "fsync"), (Path, "mkdir"), (LogStream, "forget_through")
            )
            with suppress(Killed):
                while Drain(log, archive).cycle(max_rows=4).entries:
                    pass
            finished = steps() < step
        # More comes before the next drain begins, so that its reads end elsewhere.
        await record(ledger, (f"{step}.late",))
        while Drain(log, archive).cycle(max_rows=4).entries:
            pass
        assert archived(archive) == Counter([*(name for batch in names for name in batch), f"{step}.late"])
        assert client.xlen(LOG_KEY) == 0
        assert not list((tmp_path / str(step)).rglob("*.draft")) or not finished
    assert step > 10


async def test_of_two_drains_at_once_one_writes(
    ledger: Ledger, log: LogStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record(ledger, ("a",), ("b",), ("c",))
    archive = Archive(tmp_path)
    link = os.link
    other: list[Drained] = []

    def late(draft: Path, path: Path) -> None:
        if path.suffix == ".parquet":
            monkeypatch.setattr(os, "link", link)
            other.append(Drain(log, archive).cycle(max_rows=1))  # The other one is faster, and reads less.
        link(draft, path)

    monkeypatch.setattr(os, "link", late)
    drains = [Drain(log, archive).cycle(), Drain(log, archive).cycle()]
    assert other == [Drained(1, 1, more=True)]
    assert sum(drained.rows for drained in drains) == 2
    assert archived(archive) == {"a": 1, "b": 1, "c": 1}


async def test_a_file_holds_one_day(ledger: Ledger, log: LogStream, client: redis.Redis, tmp_path: Path) -> None:
    await record(ledger, ("a",), ("b",), ("c",))
    [(_, first), (_, second), (_, third)] = client.xrange(LOG_KEY)  # type: ignore[misc]
    client.delete(LOG_KEY)
    noon = 20_000 * DAY_MS + DAY_MS // 2
    for time_ms, fields in ((noon, first), (noon + DAY_MS - 1, second), (noon + DAY_MS, third)):
        client.xadd(LOG_KEY, fields, id=f"{time_ms}-0")  # type: ignore[arg-type]
    archive = Archive(tmp_path)
    drain = Drain(log, archive)
    assert [drain.cycle().entries for _ in range(3)] == [1, 2, 0]
    assert archive.days() == ["2024-10-04", "2024-10-05"]


async def test_a_log_that_begins_anew_with_an_earlier_clock_is_left_alone(
    ledger: Ledger, log: LogStream, client: redis.Redis, tmp_path: Path
) -> None:
    await record(ledger, ("a",))
    [(_, fields)] = client.xrange(LOG_KEY)  # type: ignore[misc]
    client.delete(LOG_KEY)
    hour_later = f"{int(time.time() * 1000) + 3_600_000}-0"
    client.xadd(LOG_KEY, fields, id=hour_later)  # type: ignore[arg-type]
    archive = Archive(tmp_path / "archive")
    drain = Drain(log, archive)
    assert drain.cycle() == Drained(1, 1)
    client.flushdb()
    assert drain.cycle() == Drained(0, 0)
    await record(ledger, ("b",))
    with pytest.raises(ForeignLog, match="took the place of another"):
        drain.cycle()
    client.xadd(LOG_KEY, fields, id=f"{int(hour_later.partition('-')[0]) + 1}-0")  # type: ignore[arg-type]
    with pytest.raises(ForeignLog):  # Its clock has come that far, but what it has was not archived.
        drain.cycle()
    assert log.length() == 2
    other = Archive(tmp_path / "other")
    while Drain(log, other).cycle().entries:
        pass
    assert archived(other)["b"] == 1


async def test_a_log_within_what_is_archived_already_is_left_alone(
    ledger: Ledger, log: LogStream, client: redis.Redis, tmp_path: Path
) -> None:
    await record(ledger, ("a",), ("b",), ("c",))
    [(_, first), (_, second), (_, third)] = client.xrange(LOG_KEY)  # type: ignore[misc]
    noon = 20_000 * DAY_MS + DAY_MS // 2
    client.delete(LOG_KEY)
    for time_ms, fields in ((noon, first), (noon + 60_000, second)):
        client.xadd(LOG_KEY, fields, id=f"{time_ms}-0")  # type: ignore[arg-type]
    drain = Drain(log, Archive(tmp_path))
    assert drain.cycle() == Drained(2, 2)
    client.delete(LOG_KEY)
    client.xadd(LOG_KEY, third, id=f"{noon + 30_000}-0")  # type: ignore[arg-type]
    with pytest.raises(ForeignLog):
        drain.cycle()
    assert log.length() == 1


def test_a_store_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with log_client(f"unix://{tmp_path}/no.sock") as client:
        log = LogStream(client)
        for ask in (Drain(log, Archive(tmp_path)).cycle, log.length):
            with pytest.raises(OnlineStoreUnavailable):
                ask()
