"""Compaction: fewer files, the same decisions, each once, wherever it dies and whoever else is at work."""

import asyncio
import os
import threading
from collections import Counter
from contextlib import suppress
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from deployments.ledger.archive import Archive, ArchiveFile, count_rows, last_entry
from deployments.ledger.compaction import Compaction, groups
from deployments.ledger.entry_id import EntryId
from deployments.ledger.kinds import DECISIONS, LABELS
from deployments.ledger.ledger import Ledger
from deployments.ledger.log import DecisionLog
from deployments.ledger.stream import StoredEntry
from features.definitions import DAY_MS, MINUTE_MS
from features.label import LabelBatch
from features.online import OnlineStore
from tests.unit.deployments.ledger.conftest import DATABASE
from tests.unit.deployments.ledger.deaths import Killed, killed_at
from tests.unit.deployments.ledger.entries import entry_of_ids, stored

NOON_MS = 20_000 * DAY_MS + DAY_MS // 2


def write(archive: Archive, day: int, minute: int, *ids: str) -> bool:
    """Archive decisions on these ids as a drain does, in one file; return whether it was written."""
    entry = EntryId(NOON_MS + day * DAY_MS + minute * MINUTE_MS, 0)
    rows = DECISIONS.rows_of([stored(entry, entry_of_ids(*ids, decided_at_ms=entry.time_ms))])
    return archive.write(rows, entry, entry, {})


def filled(folder: Path) -> tuple[Archive, Counter[str]]:
    """Return an archive of two days, four files of two decisions on each, and all of their ids."""
    archive = Archive(folder)
    names = [[f"{day}.{minute}.{n}" for n in range(2)] for day in range(2) for minute in range(4)]
    for place, ids in enumerate(names):
        assert write(archive, place // 4, place % 4, *ids)
    return archive, Counter(name for ids in names for name in ids)


def archived(archive: Archive) -> Counter[str]:
    """Return how often each transaction is in the archive."""
    tables = [table for day in archive.days() for table in archive.tables(day)]
    return Counter(i for table in tables for i in table.column("transaction_id").to_pylist())


def finish(compaction: Compaction) -> list[int]:
    """Return how many files each step joined, until there was nothing to do."""
    steps = []
    while joined := compaction.step():
        steps.append(joined)
    return steps


@given(st.lists(st.integers(0, 30)), st.integers(1, 40))
def test_groups_hold_what_is_allowed_and_once_joined_stay_as_they_are(rows: list[int], bound: int) -> None:
    files = [ArchiveFile(Path(str(n)), EntryId(n, 0), EntryId(n, 0)) for n in range(len(rows))]
    count = dict(zip(files, rows, strict=True))
    found = list(groups(files, rows, bound))
    grouped = [file for group in found for file in group]
    assert len(set(grouped)) == len(grouped)
    assert all(len(group) >= 2 and sum(count[file] for file in group) <= bound for group in found)
    joined = dict.fromkeys(files)
    after = dict(count)
    for group in found:
        after[group[0]] = sum(count[file] for file in group)
        for file in group[1:]:
            del joined[file]
    left = list(joined)
    assert not list(groups(left, [after[file] for file in left], bound))
    assert all(after[a] + after[b] > bound for a, b in pairwise(left) if max(after[a], after[b]) <= bound)


def test_files_of_a_day_that_is_over_are_joined(tmp_path: Path) -> None:
    archive, names = filled(tmp_path)
    over, newest = archive.days()
    newest_file = archive.newest()
    assert finish(Compaction(archive, rows_a_file=6)) == [3]
    files, left_over = archive.files(over)
    assert ([count_rows(file) for file in files], left_over) == ([6, 2], [])
    assert last_entry(files[0]) == files[0].through
    assert len(list((tmp_path / f"day={over}").iterdir())) == 2
    assert len(archive.files(newest)[0]) == 4
    assert (archived(archive), archive.newest()) == (names, newest_file)
    for name in names:
        row = archive.find(name, archive.days())
        assert row is not None
        assert row["transaction_id"] == name
    [table, _] = archive.tables(over)
    assert table.column("transaction_id").to_pylist() == sorted(table.column("transaction_id").to_pylist())


@pytest.mark.parametrize("read_before", range(5))
def test_who_reads_meanwhile_reads_everything_once(tmp_path: Path, read_before: int) -> None:
    archive, names = filled(tmp_path)
    days = archive.days()
    reading = archive.tables(days[0])
    read = list(islice(reading, read_before))
    assert finish(Compaction(archive, rows_a_file=6)) == [3]
    read += [*reading, *archive.tables(days[1])]
    assert Counter(i for table in read for i in table.column("transaction_id").to_pylist()) == names


@pytest.mark.parametrize("read_before", range(5))
def test_who_reads_meanwhile_reads_a_file_that_stays_once(tmp_path: Path, read_before: int) -> None:
    archive = Archive(tmp_path)
    names = [[f"0.{n}" for n in range(6)], ["1"], ["2"], ["3"]]
    for minute, ids in enumerate(names):
        write(archive, 0, minute, *ids)
    write(archive, 1, 0, "later")
    reading = archive.tables(archive.days()[0])
    read = list(islice(reading, read_before))
    assert finish(Compaction(archive, rows_a_file=6)) == [3]
    read += reading
    found = Counter(i for table in read for i in table.column("transaction_id").to_pylist())
    assert found == Counter(name for ids in names for name in ids)


def test_who_searches_meanwhile_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, _ = filled(tmp_path)
    listing = archive.files

    def then_joined(day: str) -> tuple[list[ArchiveFile], list[ArchiveFile]]:
        monkeypatch.setattr(archive, "files", listing)
        found = listing(day)
        assert finish(Compaction(archive)) == [4]
        return found

    monkeypatch.setattr(archive, "files", then_joined)
    assert archive.find("0.1.0", archive.days()[:1]) is not None


def test_drafts_of_who_was_killed_are_deleted(tmp_path: Path) -> None:
    archive, names = filled(tmp_path)
    folder = archive.folder / f"day={archive.days()[0]}"
    left, under_way = folder / ".0123.draft", folder / ".4567.draft"
    for path in (left, under_way):
        path.write_bytes(b"half a file")
    os.utime(left, (NOON_MS / 1000, NOON_MS / 1000))
    finish(Compaction(archive))
    assert (left.exists(), under_way.exists()) == (False, True)
    assert archived(archive) == names


def test_a_drain_that_wakes_up_late_adds_nothing(tmp_path: Path) -> None:
    archive, names = filled(tmp_path)
    assert finish(Compaction(archive)) == [4]
    assert write(archive, 0, 2, "0.2.0", "0.2.1")  # Its file was there and is gone.
    assert archived(archive) == names


def test_of_two_at_once_both_are_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, names = filled(tmp_path)
    link = os.link
    other: list[int] = []

    def late(draft: Path, path: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        other.append(Compaction(archive).step())
        link(draft, path)

    monkeypatch.setattr(os, "link", late)
    assert (finish(Compaction(archive)), other) == ([4], [4])
    assert archived(archive) == names


async def test_the_deployment_drains_and_joins(
    ledger: Ledger, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, names = filled(tmp_path)
    await ledger.record(entry_of_ids("z"), 60.0)
    now = np.array([NOON_MS])
    label = LabelBatch(["z"], ["shop"], now, now, np.array([True]), ["analyst"])
    for minute in range(2):
        entry = EntryId(NOON_MS + minute * MINUTE_MS, 0)
        rows = LABELS.rows_of([StoredEntry(entry, now > 0, label.to_json())])
        assert archive.labels.write(rows, entry, entry, {})
    OnlineStore(client).take_labels(label)
    settled = threading.Event()
    step = Compaction.step
    joined_last: dict[str, int] = {}

    def noted(self: Compaction) -> int:
        joined_last[self._archive.kind.name] = joined = step(self)
        if joined_last == {"decisions": 0, "labels": 0}:
            settled.set()
        return joined

    monkeypatch.setattr(Compaction, "step", noted)
    deployment = DecisionLog(f"unix://{client.get_connection_kwargs()['path']}?db={DATABASE}", tmp_path)
    told: list[tuple[str, int]] = []
    for name in ("drained", "waiting", "labels_waiting"):
        monkeypatch.setattr(deployment._metrics, name, lambda count, name=name: told.append((name, count)))
    await deployment.reconfigure({"drain_interval_s": 0.01})
    assert await asyncio.to_thread(settled.wait, 60)
    [background] = [task for task in asyncio.all_tasks() if "_drain_for_ever" in str(task.get_coro())]
    background.cancel()
    assert archived(archive) == names + Counter("z")
    assert archived(archive.labels) == Counter("zzz")
    assert [one for one in told if one[1]] == [("waiting", 1), ("drained", 1), ("labels_waiting", 1)]
    assert {("waiting", 0), ("labels_waiting", 0)} < set(told)
    assert [len(archive.files(day)[0]) for day in archive.days()] == [1, 1, 1]
    assert [len(archive.labels.files(day)[0]) for day in archive.labels.days()] == [1, 1]


def test_the_newest_of_two_decisions_on_an_id_is_found(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    for minute in range(3):
        write(archive, 0, minute, "a", "b")
    write(archive, 1, 0, "c")
    assert finish(Compaction(archive)) == [3]
    row = archive.find("a", archive.days())
    assert row is not None
    assert row["decided_at_ms"] == NOON_MS + 2 * MINUTE_MS


def test_killed_anywhere_nothing_is_lost_or_there_twice(tmp_path: Path) -> None:
    step = 0
    finished = False
    while not finished:
        step += 1
        archive, names = filled(tmp_path / str(step))
        over = archive.days()[0]
        with pytest.MonkeyPatch.context() as monkeypatch:
            steps = killed_at(step, monkeypatch, (os, "link"), (os, "fsync"), (Path, "unlink"))
            with suppress(Killed):
                finish(Compaction(archive))
            finished = steps() < step
        assert archived(archive) == names
        finish(Compaction(archive))
        assert archived(archive) == names
        files, left_over = archive.files(over)
        assert (len(files), left_over) == (1, [])
    assert step > 10
