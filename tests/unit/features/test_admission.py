"""Rows in bulk are judged as single transactions are: the same ones admitted, the same fields named."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from features.admission import Admitted
from features.errors import InvalidTransaction
from features.json_rows import admit_json
from features.transaction import (
    MAX_AMOUNT,
    MAX_CLOCK_SKEW_MS,
    assigned_ids,
)
from tests.unit.features.judged import GOOD, NOW_MS, any_value, assert_judged_alike, of_field


@st.composite
def json_row(draw: st.DrawFn) -> Any:
    """Draw a good row with a few fields changed; rarely something else altogether."""
    rarely = st.integers(0, 11).map(lambda number: number == 11)
    if draw(rarely):
        return draw(any_value)
    row: dict[str, Any] = dict(GOOD)
    for name in draw(st.lists(st.sampled_from([*of_field]), max_size=3)):
        row[name] = draw(any_value if draw(rarely) else of_field[name])
    if draw(rarely):
        row["unknown"] = None
    if draw(rarely):
        row.pop(draw(st.sampled_from([*row])))
    return row


EDGES = [
    {**GOOD, "amount": amount, "lat": place, "long": place}
    for amount in (0.004, 0.0045, 0.005, 0.00501, 0.00505, 0.0051, 0.01, MAX_AMOUNT, MAX_AMOUNT + 1e-6, 10**400)
    for place in (None, 1.5, float("nan"))
]


@given(st.lists(json_row(), min_size=1, max_size=6))
@example(EDGES)
@example([{**GOOD, "timestamp": (NOW_MS + MAX_CLOCK_SKEW_MS) / 1000 + late} for late in (-1, 0, 0.25, 1)])
@example([GOOD, {**GOOD, "unknown": 1}])
@example([{**GOOD, "timestamp": 1_770_000_000.9996}, {**GOOD, "timestamp": 1_770_000_000.9999997}])
@settings(max_examples=100)
def test_json_rows_are_judged_as_single_transactions_are(values: list[Any]) -> None:
    # As a JSON parser hands them over: text that is no UTF-8 does not get so far.
    rows = from_json(json.dumps(values))
    assert_judged_alike(admit_json(rows, NOW_MS), rows)


def test_a_row_of_every_good_spelling_is_admitted_without_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {**GOOD, "timestamp": time, "lat": 1, "long": 2.5, "currency": "EUR", "merchant_id": None}
        for time in (1_770_000_000, 1_770_000_000.25, "2026-02-02T02:40:00", "2026-02-02 02:40:00.123+02:00")
    ]
    monkeypatch.setattr("features.admission.admit_one", lambda *_: pytest.fail("in doubt"))
    for some in (rows[:2], rows[2:], rows):
        assert len(admit_json(some, NOW_MS).batch) == len(some)


def test_an_object_with_a_thousand_fields_is_not_validated_field_by_field() -> None:
    fault = admit_json([{f"x{n}": n for n in range(1000)}, GOOD], NOW_MS).faults[0]
    assert isinstance(fault, InvalidTransaction)
    assert str(fault) == "body: has 1000 fields; a transaction has far fewer"


def test_parts_are_joined_with_the_places_of_their_rows() -> None:
    first = admit_json([GOOD, {}, {**GOOD, "transaction_id": None}], NOW_MS)
    second = admit_json([1, {**GOOD, "customer_id": "d"}], NOW_MS)
    whole = Admitted.concat([first, second], [3, 2])
    assert whole.rows.tolist() == [0, 2, 4]
    assert whole.batch.customer_id == ["c", "c", "d"]
    assert whole.assigned == [False, True, False]
    assert sorted(whole.faults) == [1, 3]
    assert Admitted.concat([first], [3]) is first


def test_assigned_ids_differ_and_are_32_hex_digits() -> None:
    ids = assigned_ids(1000)
    assert len(set(ids)) == 1000
    assert {len(one) for one in ids} == {32}
    assert set("".join(ids)) <= set("0123456789abcdef")
