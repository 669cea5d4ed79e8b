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

DAY_MS = 86_400_000
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


def say(archive: Archive, number: int, *labels: tuple[str, bool, int], paid_s: int = PAID_S) -> None:
    """Archive labels: id, verdict, and days after the payment until it was known."""
    n = len(labels)
    batch = LabelBatch(
        [name for name, _, _ in labels],
        ["shop"] * n,
        np.full(n, paid_s * 1000),
        np.array([(paid_s + days * DAY_S) * 1000 for _, _, days in labels]),
        np.array([verdict for _, verdict, _ in labels]),
        ["chargeback"] * n,
    )
    name = EntryId((PAID_S + 9 * DAY_S) * 1000 + number, 0)
    rows = LABELS.rows_of([StoredEntry(name, np.ones(n, np.bool_), batch.to_json())])
    assert archive.labels.write(rows, name, name, {})


def made(archive: Archive, out: Path, after_days: int = 100, **options: Any) -> tuple[DecidedHistory, Rows]:
    """Return the report and the rows by id of the history that is made so many days after the payments."""
    options = {"genuine_after_days": 30, "show_progress": False} | options
    report = decided_history(archive, out, clock=lambda: PAID_S + after_days * DAY_S, **options)
    rows = read_days(out).to_pylist()
    assert report.rows == len(rows) == report.frauds + report.genuine + report.too_young + report.stopped
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
    decide(archive, 0, {"transaction_id": "approved"})
    decide(archive, 1, {"transaction_id": "reviewed"}, {"transaction_id": "and labelled"}, score=0.75)
    say(archive, 0, ("and labelled", False, 3))
    before, rows = made(archive, tmp_path / "before", after_days=29)
    assert {name: row["is_fraud"] for name, row in rows.items()} == {
        "approved": None,
        "reviewed": None,
        "and labelled": 0,
    }
    assert (before.too_young, before.stopped, before.genuine) == (1, 1, 1)
    after, rows = made(archive, tmp_path / "after", after_days=30)
    assert (rows["approved"]["is_fraud"], rows["reviewed"]["is_fraud"]) == (0, None)
    assert (after.too_young, after.stopped, after.genuine) == (0, 1, 2)
    assert [rows[name]["known_labels"] for name in ("approved", "reviewed")] == [[], []], "nobody said anything"


def test_the_verdict_that_was_known_last_stands_and_all_are_told(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, *({"transaction_id": name} for name in ("fraud", "withdrawn", "twice in a moment")))
    say(archive, 0, ("withdrawn", True, 5), ("fraud", True, 2), ("twice in a moment", True, 4))
    say(archive, 1, ("withdrawn", False, 8), ("twice in a moment", False, 4))
    report, rows = made(archive, tmp_path / "history")
    assert (report.frauds, report.genuine) == (1, 2)
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
    assert (report.frauds, report.genuine) == (0, 2)


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
    assert (report.rows, report.repeated, rows["a"]["amount_minor"]) == (1, 1, 100)


def test_labels_of_nobody_are_counted(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, {"transaction_id": "a"})
    say(archive, 0, ("b", True, 1), ("a", True, 1))
    say(archive, 1, ("a", False, 1), paid_s=PAID_S + 3 * DAY_S)
    report, rows = made(archive, tmp_path / "history")
    assert (report.strange_labels, report.frauds, rows["a"]["is_fraud"]) == (1, 1, 1)


def test_days_of_decisions_can_be_chosen(archive: Archive, tmp_path: Path) -> None:
    for day in range(4):
        decide(archive, 0, {"transaction_id": f"on day {day}"}, day=day)
    _, rows = made(archive, tmp_path / "history", since=date(2026, 2, 3), until=date(2026, 2, 4))
    assert set(rows) == {"on day 1", "on day 2"}
    with pytest.raises(NothingArchived, match="No decision of these days"):
        made(archive, tmp_path / "other", since=date(2027, 1, 1))
    assert not (tmp_path / "other").exists()


def test_files_of_a_release_that_did_not_say_the_order_are_read(archive: Archive, tmp_path: Path) -> None:
    decide(archive, 0, {"transaction_id": "a"})
    [file], _ = archive.files("2026-02-02")
    older = pq.read_table(file.path).drop_columns("row")
    pq.write_table(older, file.path)
    decide(archive, 3, {"transaction_id": "b"})
    _, rows = made(archive, tmp_path / "history")
    assert {name: row["arrival"] for name, row in rows.items()} == {"a": 0, "b": 1}


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
    result = CliRunner().invoke(app, [*command, "--genuine-after", "0"])
    assert result.exit_code == 0, result.output
    for said in (
        "2 payments of 2 days, 2026-02-02 to 2026-02-03",
        "1 were frauds and 1 genuine",
        "0 approved that are too young, 0 blocked or reviewed",
        "Left out: 1 decisions",
        "1 labels of these days are of payments that are not there",
    ):
        assert said in result.output
    again = CliRunner().invoke(app, command)
    assert (again.exit_code, "not empty" in again.output) == (1, True)
    nothing = CliRunner().invoke(app, ["history", "--home", str(tmp_path), "--out", str(tmp_path / "none")])
    assert (nothing.exit_code, "tollgate drain" in nothing.output) == (1, True)
