"""The history of decisions: which label a payment has, in which order, and what is said of the rest."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cluster.cli import app
from cluster.retraining.decided_history import DecidedHistory, decided_history
from deployments.ledger.archive import Archive
from deployments.ledger.compaction import Compaction
from deployments.ledger.entry_id import EntryId
from deployments.ledger.kinds import DECISIONS, LABELS
from deployments.ledger.record import Entry
from deployments.ledger.stream import StoredEntry
from features.errors import InvalidHistory, NothingArchived
from features.history import HISTORY_SCHEMA
from features.label import LabelBatch
from tests.unit.deployments.ledger.entries import decided, stored, transactions
from training.arrivals import Arrivals
from training.history_files import read_days
from training.split import count_days, count_part, split_in_time

DAY_S = 86_400
PAID_S = 1_770_000_000
"""2026-02-02 02:40 UTC, when payments of the tests are made unless they say otherwise."""

Rows = dict[str, dict[str, Any]]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "decisions")


def decide(archive: Archive, number: int, *bodies: dict[str, Any], score: float = 0.25, day: int = 0) -> None:
    """Archive the decisions on payments as one entry of a day after 2026-02-02."""
    entry = decided(transactions(*bodies), score)
    _archive(archive, EntryId((PAID_S + day * DAY_S) * 1000 + number // 2, number % 2), entry)


def _archive(archive: Archive, name: EntryId, entry: Entry) -> None:
    assert archive.write(DECISIONS.rows_of([stored(name, entry)]), name, name, {})


def say(archive: Archive, number: int, *labels: tuple[str, bool, float], taken_days: int = 0) -> None:
    """Archive labels: id, verdict, and days after the payment until it was known; taken together in one call."""
    n = len(labels)
    batch = LabelBatch(
        [name for name, _, _ in labels],
        ["shop"] * n,
        np.full(n, PAID_S * 1000),
        np.array([int(PAID_S + days * DAY_S) * 1000 for _, _, days in labels]),
        np.array([verdict for _, verdict, _ in labels]),
        ["chargeback"] * n,
    )
    name = EntryId((PAID_S + taken_days * DAY_S) * 1000 + number, 0)
    rows = LABELS.rows_of([StoredEntry(name, np.ones(n, np.bool_), batch.to_json())])
    assert archive.labels.write(rows, name, name, {})


def made(archive: Archive, out: Path, after_days: int = 100, **options: Any) -> tuple[DecidedHistory, Rows]:
    """Return the report and the rows by id of the history that is made so many days after the payments."""
    usual = {"genuine_after_days": 30, "labels_since": date(2026, 1, 1), "show_progress": False}
    options = usual | options
    report = decided_history(archive, out, clock=lambda: PAID_S + after_days * DAY_S, **options)
    rows = read_days(out).to_pylist()
    tally = report.tally
    assert report.rows == len(rows) == tally.frauds + tally.genuine + tally.silent + tally.outside
    return report, {row["transaction_id"]: row for row in rows}


def test_a_payment_is_as_it_was_decided(archive: Archive, tmp_path: Path) -> None:
    whole = {
        "merchant_id": "shop",
        "device_id": "d",
        "currency": "EUR",
        "merchant_category": "food",
        "amount": 12.34,
    }
    decide(
        archive,
        0,
        {"transaction_id": "a", "transaction_type": "pos", "geo_location": "IT", "lat": 45.1, "long": -9.2}
        | whole,
        {"transaction_id": "b", "customer_id": "bob", "timestamp": PAID_S + DAY_S},
    )
    report, rows = made(archive, tmp_path / "history")
    assert (report.days, report.first_day, report.last_day) == (2, date(2026, 2, 2), date(2026, 2, 3))
    assert whole.items() - {("amount", 12.34)} <= rows["a"].items()
    assert (rows["a"]["amount_minor"], rows["a"]["lat"], rows["a"]["long"]) == (1234, 45.1, -9.2)
    assert (rows["a"]["transaction_type"], rows["a"]["geo_location"]) == ("pos", "IT")
    assert rows["a"]["event_time"].timestamp() == PAID_S
    assert (rows["b"]["customer_id"], rows["b"]["lat"], rows["b"]["merchant_id"]) == ("bob", None, None)
    assert [rows[name]["arrival"] for name in "ab"] == [0, 1]


def test_who_approved_a_payment_and_heard_of_no_fraud_for_long_enough_calls_it_genuine(
    archive: Archive, tmp_path: Path
) -> None:
    decide(archive, 0, {"transaction_id": "approved"}, {"transaction_id": "defrauded"})
    decide(archive, 1, {"transaction_id": "reviewed"}, {"transaction_id": "and released"}, score=0.75)
    say(archive, 0, ("and released", False, 3), ("defrauded", True, 3))
    before, rows = made(archive, tmp_path / "before", after_days=30)
    assert {row["is_fraud"] for row in rows.values()} == {None}, "of the young only frauds would be labelled"
    assert (before.tally.outside, before.tally.outside_frauds, before.tally.labels) == (4, 1, 2)
    assert [len(rows[name]["known_labels"]) for name in ("defrauded", "and released", "approved")] == [1, 1, 0]
    after, rows = made(archive, tmp_path / "after", after_days=31)
    assert {name: row["is_fraud"] for name, row in rows.items()} == {
        "approved": 0,
        "defrauded": 1,
        "reviewed": None,
        "and released": 0,
    }
    assert (after.tally.frauds, after.tally.genuine, after.tally.silent) == (1, 2, 1)
    assert str(after.labelled) == "2026-01-01 to 2026-02-02"


def test_silence_says_nothing_of_days_before_labels_were_on_record(archive: Archive, tmp_path: Path) -> None:
    for day in range(4):
        at = {"timestamp": PAID_S + day * DAY_S}
        decide(archive, 0, {"transaction_id": f"{day}"} | at, {"transaction_id": f"{day} fraud"} | at, day=day)
    unlabelled, rows = made(archive, tmp_path / "none", labels_since=None)
    assert (unlabelled.labelled, unlabelled.tally.outside) == (None, 8)
    say(archive, 0, ("1 fraud", True, 3), ("3 fraud", True, 3), taken_days=1)
    report, rows = made(archive, tmp_path / "history", labels_since=None)
    assert str(report.labelled).startswith("2026-02-04 to "), "the first label was taken on the day before"
    labelled = {name: row["is_fraud"] for name, row in rows.items() if row["is_fraud"] is not None}
    assert labelled == {"2": 0, "2 fraud": 0, "3": 0, "3 fraud": 1}
    assert report.tally.outside_frauds == 1
    said, rows = made(archive, tmp_path / "said", labels_since=date(2026, 2, 3))
    assert (said.tally.frauds, said.tally.genuine, rows["1 fraud"]["is_fraud"]) == (2, 4, 1)


def test_a_label_counts_from_when_it_was_taken(archive: Archive, tmp_path: Path) -> None:
    """One that names a moment of before was not known to the service then."""
    decide(archive, 0, {"transaction_id": "live"})
    batch = transactions({"transaction_id": "replayed", "timestamp": PAID_S - 2 * DAY_S})
    _archive(archive, EntryId(PAID_S * 1000 + 5, 0), decided(batch))
    say(archive, 0, ("live", True, 1), ("replayed", True, 1), taken_days=4)
    _, rows = made(archive, tmp_path / "history")
    days = {name: (row["known_labels"][0]["known_at"].timestamp() - PAID_S) / DAY_S for name, row in rows.items()}
    assert days == {"live": 4, "replayed": 1}


def test_the_verdict_that_was_known_last_stands_and_all_are_told(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, *({"transaction_id": name} for name in ("fraud", "withdrawn", "twice in a moment")))
    say(archive, 0, ("withdrawn", True, 5), ("fraud", True, 2), ("twice in a moment", True, 4))
    say(archive, 1, ("withdrawn", False, 8), ("twice in a moment", False, 4))
    report, rows = made(archive, tmp_path / "history")
    assert (report.tally.frauds, report.tally.genuine) == (1, 2)
    told = {
        name: [
            ((label["known_at"].timestamp() - PAID_S) / DAY_S, label["is_fraud"]) for label in row["known_labels"]
        ]
        for name, row in rows.items()
    }
    assert told == {"fraud": [(2, 1)], "withdrawn": [(5, 1), (8, 0)], "twice in a moment": [(4, 1), (4, 0)]}
    assert {name for name, row in rows.items() if row["is_fraud"]} == {"fraud"}


def test_labels_of_one_call_are_in_its_order_whatever_their_ids(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, {"transaction_id": "z"}, {"transaction_id": "a"})
    say(archive, 0, ("z", True, 2), ("a", True, 2), ("z", False, 2), ("a", False, 2))
    report, _ = made(archive, tmp_path / "history")
    assert (report.tally.frauds, report.tally.genuine) == (0, 2)


def test_payments_are_in_the_order_of_the_log_whatever_their_ids(archive: Archive, tmp_path: Path) -> None:
    names = [["z", "b"], ["y", "a"], ["x", "c"]]
    for number, ids in enumerate(names):
        decide(archive, number, *({"transaction_id": name} for name in ids))
    archive.join(
        pa.concat_tables([archive.read(file) for file in archive.files("2026-02-02")[0]]),
        EntryId(PAID_S * 1000, 0),
        EntryId(PAID_S * 1000 + 1, 0),
    )
    _, rows = made(archive, tmp_path / "history", buffered_rows=2)
    assert [name for name, row in sorted(rows.items(), key=lambda item: int(item[1]["arrival"]))] == [
        name for ids in names for name in ids
    ]
    arrivals = Arrivals.of(tmp_path / "history")
    assert arrivals.rows(0, 6).column("transaction_id").to_pylist() == ["z", "b", "y", "a", "x", "c"]


def test_a_decision_on_an_id_of_before_is_left_out(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, {"transaction_id": "a", "amount": 1})
    decide(archive, 0, {"transaction_id": "a", "amount": 2, "timestamp": PAID_S + 2 * DAY_S}, day=2)
    report, rows = made(archive, tmp_path / "history")
    assert (report.rows, report.tally.repeated, rows["a"]["amount_minor"]) == (1, 1, 100)


def test_a_label_is_of_the_payment_of_its_id_and_others_are_counted(archive: Archive, tmp_path: Path) -> None:
    """Its timestamp may be that of another day: a bank's own midnight, or half a second later."""
    decide(archive, 0, {"transaction_id": "a", "timestamp": PAID_S - DAY_S})
    say(archive, 0, ("b", True, 1), ("a", True, 1))
    say(archive, 1, ("c", False, 1))
    report, rows = made(archive, tmp_path / "history")
    assert (report.all_labels, report.tally.labels, rows["a"]["is_fraud"]) == (3, 1, 1)


def test_ids_of_one_hash_are_told_apart(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cluster.retraining.verdicts._hashes", lambda ids: np.array([len(i) for i in ids.to_pylist()], np.uint64)
    )
    decide(archive, 0, *({"transaction_id": name} for name in ("a", "bb", "c", "dd", "e")))
    say(archive, 0, ("c", True, 1), ("x", True, 1), ("dd", True, 1), ("c", False, 2), ("e", True, 1))
    report, rows = made(archive, tmp_path / "history")
    assert {name: row["is_fraud"] for name, row in rows.items()} == {"a": 0, "bb": 0, "c": 0, "dd": 1, "e": 1}
    assert [len(rows[name]["known_labels"]) for name in ("a", "bb", "c", "dd", "e")] == [0, 0, 2, 1, 1]
    assert report.tally.labels == 4


def test_days_of_payments_can_be_chosen(archive: Archive, tmp_path: Path) -> None:
    for day in (0, 2, 3):
        ahead = {"transaction_id": f"of day {day}", "timestamp": PAID_S + day * DAY_S}
        decide(archive, 0, ahead, day=max(0, day - 1))
    decide(archive, 1, {"transaction_id": "late, of day 1", "timestamp": PAID_S + DAY_S}, day=3)
    decide(archive, 1, {"transaction_id": "ahead, of day 1", "timestamp": PAID_S + DAY_S}, day=0)
    _, rows = made(archive, tmp_path / "history", since=date(2026, 2, 3), until=date(2026, 2, 4))
    assert set(rows) == {"of day 2", "late, of day 1", "ahead, of day 1"}, (
        "also what was dated a day ahead, and what came late"
    )
    with pytest.raises(NothingArchived, match="No payment of these days"):
        made(archive, tmp_path / "other", since=date(2027, 1, 1))
    assert not (tmp_path / "other").exists()


def test_payments_with_a_date_of_long_ago_are_told(archive: Archive, tmp_path: Path) -> None:
    ages = {"old": 48, "young": 47}
    decide(
        archive,
        0,
        *({"transaction_id": name, "timestamp": PAID_S + 1 - age * DAY_S} for name, age in ages.items()),
    )
    report, _ = made(archive, tmp_path / "history")
    assert (report.tally.old, report.days) == (1, 2)
    assert "1 payments were 48 days old or more" in report.__rich__()


def test_the_archive_itself_is_not_overwritten(archive: Archive) -> None:
    decide(archive, 0, {"transaction_id": "a"})
    say(archive, 0, ("a", True, 1))
    for folder in (archive.folder, archive.labels.folder, archive.folder / "day=2026-02-02"):
        with pytest.raises(InvalidHistory, match="lies in the archive"):
            made(archive, folder, overwrite=True)
    assert archive.labels.days()


def test_a_model_can_be_trained_on_the_days_that_have_labels(archive: Archive, tmp_path: Path) -> None:
    """What is too young, and what is older than the labels, is in no part of the split."""
    for day in range(100):
        at = {"timestamp": PAID_S + day * DAY_S}
        names = [f"{day}.{n}" for n in range(4)]
        decide(archive, 0, *({"transaction_id": name} | at for name in names), day=day)
        if day >= 10:
            say(archive, 0, (names[0], True, day + 1.0), taken_days=day)
    report, _ = made(archive, tmp_path / "history", labels_since=None, after_days=99)
    assert str(report.labelled) == "2026-02-13 to 2026-04-11"
    assert report.tally.outside_frauds == 32
    counts = count_days(tmp_path / "history")
    split = split_in_time(counts)
    assert (split.train.since.date(), split.test.until.date()) == (date(2026, 2, 19), date(2026, 4, 12))
    for period in (split.train, split.validation, split.test):
        part = count_part(counts, period)
        assert (part.unlabelled, part.frauds * 4) == (0, part.labelled)


def test_files_of_a_release_that_did_not_say_the_order_are_read(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, {"transaction_id": "z"}, {"transaction_id": "a"})
    [file], _ = archive.files("2026-02-02")
    older = pq.read_table(file.path).drop_columns("row")
    pq.write_table(older, file.path)
    decide(archive, 3, {"transaction_id": "b"})
    _, rows = made(archive, tmp_path / "history")
    assert {name: row["arrival"] for name, row in rows.items()} == {"a": 0, "z": 1, "b": 2}


def test_files_of_before_are_joined_with_those_of_now(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, {"transaction_id": "z"})
    [file], _ = archive.files("2026-02-02")
    pq.write_table(pq.read_table(file.path).drop_columns("row"), file.path)
    decide(archive, 1, {"transaction_id": "y"}, {"transaction_id": "b"})
    decide(archive, 2, {"transaction_id": "a"}, day=1)
    assert Compaction(archive).step() == 2
    _, rows = made(archive, tmp_path / "history")
    assert sorted(rows, key=lambda name: int(rows[name]["arrival"])) == ["z", "y", "b", "a"]


def test_what_is_no_history_is_not_overwritten(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, {"transaction_id": "a"})
    made(archive, tmp_path / "history")
    with pytest.raises(InvalidHistory, match="not empty"):
        made(archive, tmp_path / "history")
    _, rows = made(archive, tmp_path / "history", overwrite=True)
    assert set(rows) == {"a"}
    assert read_days(tmp_path / "history").schema == HISTORY_SCHEMA


def test_the_command_says_what_the_history_holds(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, {"transaction_id": "a"}, {"transaction_id": "b", "timestamp": PAID_S + DAY_S})
    decide(archive, 0, {"transaction_id": "a"}, day=1)
    say(archive, 0, ("a", True, 1), ("c", True, 1))
    command = [
        "history",
        "--home",
        str(tmp_path),
        "--archive",
        str(archive.folder),
        "--out",
        str(tmp_path / "out"),
    ]
    result = CliRunner().invoke(app, [*command, "--genuine-after", "0", "--labels-since", "2026-02-02"])
    assert result.exit_code == 0, result.output
    for said in (
        "2 payments of 2 days, 2026-02-02 to 2026-02-03",
        "To learn from, 2026-02-02 to ",
        ": 1 frauds and 1 genuine; 0 that were blocked or reviewed have no verdict",
        "0 payments of other days, 0 of them known as frauds",
        "Left out: 1 decisions",
        "1 labels are of payments that are not in it",
    ):
        assert said in result.output
    again = CliRunner().invoke(app, command)
    assert (again.exit_code, "not empty" in again.output) == (1, True)
    never = CliRunner().invoke(app, [*command, "--overwrite", "--genuine-after", "3650"])
    assert (never.exit_code, "None has a label to learn from" in never.output) == (0, True)
    nothing = CliRunner().invoke(app, ["history", "--home", str(tmp_path), "--out", str(tmp_path / "none")])
    assert (nothing.exit_code, "tollgate drain" in nothing.output) == (1, True)
