"""Finding a decision: the same answer from the log, from the archive, and with the day alone."""

from pathlib import Path

import pytest
import redis

from deployments.ledger.archive import Archive
from deployments.ledger.drain import Drain
from deployments.ledger.entry_id import EntryId
from deployments.ledger.ledger import Ledger
from deployments.ledger.search import Search
from deployments.ledger.stream import LogStream
from features.claims import CLAIM_PREFIX
from features.errors import DecisionUnknown, InvalidTransaction
from tests.unit.deployments.ledger.entries import decided, entry_of_ids, transactions

LONG_S = 60.0


async def test_a_decision_is_found_wherever_it_is_now(
    ledger: Ledger, log: LogStream, client: redis.Redis, tmp_path: Path
) -> None:
    body = {"transaction_id": "a/\u00e9 b", "merchant_id": "m", "lat": 1.5, "long": -2.5, "amount": 10.01}
    entry = decided(transactions({"transaction_id": "z"}, body, body), score=0.75)
    await ledger.record(entry_of_ids("y"), LONG_S)
    await ledger.record(entry, LONG_S)
    archive = Archive(tmp_path)
    search = Search(log, archive)
    in_log = search.find("a/\u00e9 b")
    assert in_log["transaction"] == {
        "transaction_id": "a/\u00e9 b",
        "timestamp": 1_770_000_000.0,
        "customer_id": "ann",
        "merchant_id": "m",
        "amount": 10.01,
        "currency": None,
        "merchant_category": None,
        "transaction_type": None,
        "device_id": None,
        "geo_location": None,
        "lat": 1.5,
        "long": -2.5,
    }
    assert list(in_log["features"].values()) == entry.matrix[1].tolist()
    assert (in_log["decision"], in_log["model_scores"]) == ("REVIEW", {"lr": 0.75, "xgb": None})
    assert (in_log["policy"], in_log["degraded"]) == ({"model": "tollgate"}, ["xgb"])
    day = EntryId.parse(in_log["entry"]).day
    assert search.find("a/\u00e9 b", day) == in_log
    with pytest.raises(DecisionUnknown, match="is on record"):
        search.find("a/\u00e9 b", "2001-01-01")
    Drain(log, archive).cycle()
    assert search.find("a/\u00e9 b") == in_log
    client.delete(CLAIM_PREFIX + "a/\u00e9 b".encode())  # A day later.
    assert search.find("a/\u00e9 b") == in_log
    assert search.find("a/\u00e9 b", day) == in_log
    assert archive.days() == [day]


async def test_what_was_not_decided_is_not_found(ledger: Ledger, log: LogStream, tmp_path: Path) -> None:
    await ledger.record(entry_of_ids("a"), LONG_S)
    search = Search(log, Archive(tmp_path))
    Drain(log, Archive(tmp_path)).cycle()
    for name, day in (("b", None), ("a", "2001-01-01")):
        with pytest.raises(DecisionUnknown, match="is on record"):
            search.find(name, day)


@pytest.mark.parametrize("day", ["today", "2026-1-1", "../..", "2026-11-22x"])
async def test_a_day_that_is_none_is_named(log: LogStream, tmp_path: Path, day: str) -> None:
    with pytest.raises(InvalidTransaction, match=r"query\.day"):
        Search(log, Archive(tmp_path)).find("a", day)
