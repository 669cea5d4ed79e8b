"""The log of labels: what changed a verdict is on record, with who said it, and reaches the archive once."""

import asyncio
import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import redis
from typer.testing import CliRunner

from cluster.cli import app
from deployments.ledger.archive import Archive
from deployments.ledger.compaction import Compaction
from deployments.ledger.drain import Drain
from deployments.ledger.entry_id import EntryId
from deployments.ledger.kinds import LABELS
from deployments.ledger.ledger import Ledger
from deployments.ledger.log import DecisionLog
from deployments.ledger.stream import LogStream, StoredEntry
from features.label import LABEL_LOG_KEY, LabelBatch, LabelOutcome
from features.online import OnlineStore
from tests.unit.deployments.ledger.conftest import DATABASE
from tests.unit.deployments.ledger.deaths import Killed, killed_at
from tests.unit.deployments.ledger.entries import entry_of_ids

NEW, REPEATED, CORRECTED, SUPERSEDED, CONFLICT = LabelOutcome
PAID_MS = 1_770_000_000_000
COLUMNS = ["transaction_id", "merchant_id", "event_time_ms", "known_ms", "is_fraud", "source"]
Said = tuple[str, bool, int]


@pytest.fixture
def labels(client: redis.Redis) -> LogStream:
    return LogStream(client, LABELS.key)


def say(
    client: redis.Redis, *said: Said, source: str | None = "analyst", shop: str = "shop"
) -> list[LabelOutcome]:
    """Return what became of labels: id, verdict, and when it was known."""
    n = len(said)
    return OnlineStore(client).take_labels(
        LabelBatch(
            [name for name, _, _ in said],
            [None if name == "nowhere" else shop for name, _, _ in said],
            np.full(n, PAID_MS),
            np.array([PAID_MS + known for _, _, known in said]),
            np.array([verdict for _, verdict, _ in said]),
            None if source is None else [source] * n,
        )
    )


def archived(archive: Archive) -> list[tuple[str, bool, str]]:
    """Return id, verdict and source of the archived labels."""
    rows = [row for day in archive.days() for table in archive.tables(day) for row in table.to_pylist()]
    return [(row["transaction_id"], row["is_fraud"], row["source"]) for row in rows]


def drain_all(labels: LogStream, archive: Archive) -> None:
    """Drain, two labels a file, until nothing is left."""
    while Drain(labels, archive).cycle(max_rows=2).rows:
        pass


def test_what_changed_a_verdict_is_archived_with_who_said_it(
    client: redis.Redis, labels: LogStream, tmp_path: Path
) -> None:
    assert say(client, ("b", True, 1), ("a", True, 1), ("b", True, 2)) == [NEW, NEW, REPEATED]
    assert say(client, ("b", True, 3), ("b", True, 1)) == [REPEATED, SUPERSEDED]
    assert say(client, ("b", False, 4), ("nowhere", True, 4), source="chargeback") == [CORRECTED, NEW]
    assert say(client, ("a", False, 5), shop="other") == [CONFLICT]
    assert labels.length() == 2
    archive = Archive(tmp_path).labels
    assert Drain(labels, archive).cycle().rows == 4
    assert (labels.length(), Drain(labels, archive).cycle().rows) == (0, 0)
    [day] = archive.days()
    [table] = archive.tables(day)
    assert table.select(COLUMNS).to_pylist() == [
        dict(zip(COLUMNS, row, strict=True))
        for row in (
            ("a", "shop", PAID_MS, PAID_MS + 1, True, "analyst"),
            ("b", "shop", PAID_MS, PAID_MS + 1, True, "analyst"),
            ("b", "shop", PAID_MS, PAID_MS + 4, False, "chargeback"),
            ("nowhere", None, PAID_MS, PAID_MS + 4, True, "chargeback"),
        )
    ]
    assert table.column("row").to_pylist() == [1, 0, 0, 1]
    assert all(now > PAID_MS for now in table.column("taken_at_ms").to_pylist())
    assert archive.folder == tmp_path / "labels"


def test_labels_of_a_history_are_on_record_there(client: redis.Redis, labels: LogStream) -> None:
    assert say(client, ("a", True, 1), source=None) == [NEW]
    assert client.exists(LABEL_LOG_KEY) == 0
    assert (labels.length(), labels.reach()) == (0, None)


def test_a_label_of_a_history_that_is_posted_is_on_record_from_then_on(
    client: redis.Redis, labels: LogStream, tmp_path: Path
) -> None:
    assert say(client, ("a", True, 1), ("b", True, 1), ("c", True, 1), source=None) == [NEW, NEW, NEW]
    for _ in range(2):
        assert say(client, ("a", True, 1), ("c", True, 0)) == [REPEATED, SUPERSEDED]
        assert say(client, ("a", True, 1), source=None) == [REPEATED]
    assert say(client, ("b", False, 2)) == [CORRECTED]
    assert say(client, ("b", True, 3), source=None) == [CORRECTED]
    assert say(client, ("b", True, 3)) == [REPEATED]
    archive = Archive(tmp_path).labels
    drain_all(labels, archive)
    assert sorted(archived(archive)) == [
        ("a", True, "analyst"),
        ("b", False, "analyst"),
        ("b", True, "analyst"),
    ]


def test_what_a_later_release_adds_to_an_entry_is_left_out(
    client: redis.Redis, labels: LogStream, tmp_path: Path
) -> None:
    assert say(client, ("a", True, 1)) == [NEW]
    [(_, fields)] = client.xrange(LABEL_LOG_KEY)  # type: ignore[misc]
    entry = json.dumps(json.loads(fields[b"entry"]) | {"colour": ["red"]})
    client.xadd(LABEL_LOG_KEY, fields | {b"entry": entry.encode()})
    archive = Archive(tmp_path).labels
    drain_all(labels, archive)
    assert archived(archive) == [("a", True, "analyst")] * 2


def test_an_empty_log_of_a_store_that_was_put_back_is_nothing_to_worry_about(
    client: redis.Redis, labels: LogStream, tmp_path: Path
) -> None:
    archive = Archive(tmp_path).labels
    assert say(client, ("a", True, 1)) == [NEW]
    [(_, fields)] = client.xrange(LABEL_LOG_KEY)  # type: ignore[misc]
    drain_all(labels, archive)
    client.delete(LABEL_LOG_KEY)
    client.xadd(LABEL_LOG_KEY, fields, id="5-0")
    client.xtrim(LABEL_LOG_KEY, maxlen=0)
    assert Drain(labels, archive).cycle().rows == 0
    assert say(client, ("b", True, 1)) == [NEW]
    assert Drain(labels, archive).cycle().rows == 1


def test_a_drain_that_dies_anywhere_loses_no_label_and_repeats_none(
    client: redis.Redis, labels: LogStream, tmp_path: Path
) -> None:
    step, finished = 0, False
    while not finished:
        step += 1
        client.flushdb()
        archive = Archive(tmp_path / str(step)).labels
        for number in range(3):
            assert say(client, (f"{number}", True, 0)) == [NEW]
        with pytest.MonkeyPatch.context() as monkeypatch:
            steps = killed_at(step, monkeypatch, (os, "link"), (LogStream, "forget_through"))
            with suppress(Killed):
                drain_all(labels, archive)
            finished = steps() < step
        drain_all(labels, archive)
        assert sorted(archived(archive)) == [(f"{number}", True, "analyst") for number in range(3)]
        assert labels.length() == 0
    assert step > 6


def test_files_of_labels_are_joined(tmp_path: Path) -> None:
    archive = Archive(tmp_path).labels
    for number, time_ms in enumerate((PAID_MS, PAID_MS + 1, PAID_MS + 2, PAID_MS + 86_400_000)):
        label = LabelBatch([f"{number}"], [None], np.array([1]), np.array([2]), np.array([True]), ["analyst"])
        name = EntryId(time_ms, 0)
        rows = LABELS.rows_of([StoredEntry(name, np.ones(1, np.bool_), label.to_json())])
        assert archive.write(rows, name, name, {})
    assert Compaction(archive).step() == 3
    assert [len(archive.files(day)[0]) for day in archive.days()] == [1, 1]
    assert archived(archive) == [(f"{number}", True, "analyst") for number in range(4)]


def test_the_command_drains_decisions_and_labels(client: redis.Redis, labels: LogStream, tmp_path: Path) -> None:
    assert say(client, ("a", True, 1), ("b", True, 1)) == [NEW, NEW]
    store = f"unix://{client.get_connection_kwargs()['path']}?db={DATABASE}"
    command = ["drain", "--home", str(tmp_path), "--archive", str(tmp_path / "archive")]
    drained = CliRunner().invoke(app, command, env={"TOLLGATE_REDIS_URL": store})
    assert drained.exit_code == 0, drained.output
    assert "0 decisions and 2 labels archived" in drained.output
    assert archived(Archive(tmp_path / "archive").labels) == [("a", True, "analyst"), ("b", True, "analyst")]
    assert labels.length() == 0


async def test_labels_that_cannot_be_drained_keep_no_decision_waiting(
    client: redis.Redis, ledger: Ledger, log: LogStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.record(entry_of_ids("a"), 60.0)
    client.xadd(LABEL_LOG_KEY, {"fresh": "1", "entry": "no JSON"})
    turned = threading.Event()
    step = Compaction.step

    def last_of_a_turn(self: Compaction) -> int:
        joined = step(self)
        if self._archive.kind is LABELS:
            turned.set()
        return joined

    monkeypatch.setattr(Compaction, "step", last_of_a_turn)
    deployment = DecisionLog(f"unix://{client.get_connection_kwargs()['path']}?db={DATABASE}", tmp_path)
    await deployment.reconfigure({"drain_interval_s": 0.01})
    assert await asyncio.to_thread(turned.wait, 60)
    monkeypatch.setattr(deployment._uptime, "status", lambda *told: told)
    status = await deployment.status()
    [background] = [task for task in asyncio.all_tasks() if "_drain_for_ever" in str(task.get_coro())]
    background.cancel()
    assert log.length() == 0
    problem = "labels are not drained, by a defect; the replica's log has it"
    assert status == (True, "0 batches wait, and 1 requests of labels", problem)  # type: ignore[comparison-overlap]


def test_an_entry_is_json_of_columns() -> None:
    batch = LabelBatch(["é"], [None], np.array([1]), np.array([2]), np.array([True]), ["analyst"])
    assert json.loads(batch.to_json()) == {
        "transaction_id": ["é"],
        "merchant_id": [None],
        "event_time_ms": [1],
        "known_ms": [2],
        "is_fraud": [True],
        "source": ["analyst"],
    }
