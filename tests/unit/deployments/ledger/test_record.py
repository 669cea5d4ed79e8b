"""An entry of the log as bytes: what comes back is what went in."""

import struct
from dataclasses import replace

import numpy as np
import pytest

from deployments.decision import Reason
from deployments.ledger.record import Entry, Written, columns_of, entry_of, model_version
from deployments.ledger.standing import Standing, decision_texts, keep
from features.transaction import TransactionBatch
from tests.unit.deployments.ledger.entries import decided, entry_of_ids, transactions

MIXED = decided(
    transactions(
        {"transaction_id": "t1", "merchant_id": "m", "lat": 1.5, "long": -2.25, "currency": "EUR"},
        {"transaction_id": 't\u00e9,"2', "device_id": "d", "geo_location": "x\ny", "merchant_category": "food"},
        {"transaction_id": "t3", "transaction_type": "card"},
    )
)


NOTHING = TransactionBatch.of([])


@pytest.mark.parametrize("entry", [MIXED, entry_of_ids("one"), decided(NOTHING)])
def test_an_entry_comes_back_as_it_went(entry: Entry) -> None:
    written = Written.parse(entry.to_bytes())
    back = entry_of(written.header, columns_of([written]))
    assert back.header == entry.header
    for name in TransactionBatch.__dataclass_fields__:
        assert list(getattr(back.batch, name)) == list(getattr(entry.batch, name)), name
    for name in ("lr", "xgb", "probability", "decision", "is_fraud"):
        np.testing.assert_array_equal(getattr(back.decisions, name), getattr(entry.decisions, name))
    n = len(entry.batch)
    assert back.decisions.rules == {row: ids for row, ids in entry.decisions.rules.items() if row < n}
    assert back.decisions.reasons == {row: found for row, found in entry.decisions.reasons.items() if row < n}
    assert (back.decisions.model_version, back.decisions.degraded) == ("7", ("xgb",))


def test_the_matrix_comes_back_bit_by_bit() -> None:
    assert Written.parse(MIXED.to_bytes()).features.tobytes() == MIXED.matrix.tobytes()


def test_entries_that_are_read_together_are_what_each_of_them_is() -> None:
    entries = [Written.parse(entry.to_bytes()) for entry in (entry_of_ids("one"), MIXED, decided(NOTHING), MIXED)]
    entries[0] = replace(entries[0], features=np.array([[1.5, 2.5]]))  # As of other definitions.
    together = columns_of(entries).to_pylist()
    apart = [row for entry in entries for row in columns_of([entry]).to_pylist()]
    assert repr(together) == repr(apart)  # NaN is not itself.
    assert together[0]["features"] == [1.5, 2.5]
    assert [row["rules"] for row in together] == [["a_rule"], ["a_rule"], [], [], ["a_rule"], [], []]


@pytest.mark.parametrize("entry", [MIXED, entry_of_ids("one"), decided(NOTHING)])
def test_an_entry_in_the_format_of_before_is_what_it_was(entry: Entry) -> None:
    now = Written.parse(entry.to_bytes())
    header = entry.header.model_dump_json().encode()
    before = struct.pack("<I", len(header)) + header + columns_of([now]).serialize().to_pybytes()
    old = Written.parse(before)
    assert old.header == now.header
    assert repr(columns_of([old, now]).to_pylist()) == repr(columns_of([now, old]).to_pylist())


def test_a_version_names_each_bundle_once() -> None:
    assert [model_version("3", "3"), model_version("4", "3"), model_version("", "3"), model_version("", "")] == [
        "3",
        "3+4",
        "3",
        "",
    ]


def test_a_retry_gets_every_part_of_the_decision_that_stands() -> None:
    texts = decision_texts(MIXED.decisions, MIXED.header)
    now = decided(MIXED.batch, score=0.75)
    now.decisions.degraded, now.decisions.model_version = (), "8"
    now.decisions.rules[1] = ["another"]
    now.decisions.reasons[1] = [Reason("rule", "another", "why")]
    for column in (now.decisions.lr, now.decisions.decision):
        column.flags.writeable = False  # As it comes over a link.
    keep(now.decisions, [b"[]"] * 3, [(row, b"[]\n5-0\n" + text) for row, text in enumerate(texts)])
    for name in ("lr", "xgb", "probability", "decision", "is_fraud"):
        np.testing.assert_array_equal(getattr(now.decisions, name), getattr(MIXED.decisions, name))
    assert now.decisions.rules == MIXED.decisions.rules
    assert now.decisions.reasons == MIXED.decisions.reasons
    assert {(e.model_version, e.degraded) for e in now.decisions.earlier.values()} == {("7", ("xgb",))}
    assert sorted(now.decisions.earlier) == [0, 1, 2]


def test_a_claim_without_a_decision_is_none() -> None:
    assert Standing.parse(b"[1]") is None
    assert Standing.parse(b"[1]\n5-0\n[2]") == Standing(b"[1]", "5-0", b"[2]")
