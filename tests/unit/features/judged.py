"""What bulk rows are held against: transactions judged one by one; and values at the edges of the contract."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from features.admission import Admitted, admit_one
from features.errors import InvalidTransaction
from features.transaction import (
    EARLIEST_EVENT_TIME_MS,
    MAX_AMOUNT,
    MAX_CLOCK_SKEW_MS,
    Transaction,
    TransactionBatch,
)

NOW_MS = int(datetime(2026, 5, 28, tzinfo=UTC).timestamp() * 1000)


GOOD = {"transaction_id": "t", "timestamp": 1_770_000_000, "customer_id": "c", "amount": 12.34}


COLUMNS = TransactionBatch.__dataclass_fields__


def judged_alone(rows: list[Any]) -> tuple[list[Transaction], dict[int, str]]:
    """Return the transactions that the contract admits one by one, and the first field at fault of the others."""
    admitted: list[Transaction] = []
    faults: dict[int, str] = {}
    for at, row in enumerate(rows):
        try:
            admitted.append(admit_one(row, NOW_MS))
        except (InvalidTransaction, ValidationError) as fault:
            faults[at] = field_of(fault)
    return admitted, faults


def field_of(fault: InvalidTransaction | ValidationError) -> str:
    if isinstance(fault, InvalidTransaction):
        return fault.field
    return ".".join(str(part) for part in fault.errors()[0]["loc"])


def assert_judged_alike(bulk: Admitted, rows: list[Any]) -> None:
    alone, faults = judged_alone(rows)
    assert {at: field_of(fault) for at, fault in bulk.faults.items()} == faults
    assert bulk.rows.tolist() == [at for at in range(len(rows)) if at not in faults]
    assert bulk.assigned == [transaction.transaction_id is None for transaction in alone]
    expected = TransactionBatch.of(alone)
    for name in COLUMNS:
        got, wanted = list(getattr(bulk.batch, name)), list(getattr(expected, name))
        if name == "transaction_id":
            own = [at for at, is_assigned in enumerate(bulk.assigned) if not is_assigned]
            got, wanted = [got[at] for at in own], [wanted[at] for at in own]
        assert got == wanted, name
    for name in ("event_time_ms", "amount_minor", "lat_udeg", "long_udeg"):
        assert getattr(bulk.batch, name).dtype == getattr(expected, name).dtype


edge_times = st.sampled_from(
    [
        EARLIEST_EVENT_TIME_MS,
        EARLIEST_EVENT_TIME_MS - 1,
        NOW_MS + MAX_CLOCK_SKEW_MS,
        NOW_MS + MAX_CLOCK_SKEW_MS + 1,
    ]
)


some_ms = st.integers(EARLIEST_EVENT_TIME_MS, NOW_MS) | edge_times | st.integers(-(10**16), 10**16)


zones = st.sampled_from([None, UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=30))])


iso_times = st.datetimes(datetime(1999, 1, 1), datetime(2027, 1, 1), timezones=zones).map(datetime.isoformat)


numbers = (
    st.floats(0.001, 0.02)
    | st.floats(-200, 200)
    | st.sampled_from([float("nan"), float("inf"), 0.00505])
    | st.integers(-(10**400), 10**400)
    | st.integers(1, 2 * MAX_AMOUNT)
    | st.integers(1, 10**6).map(lambda minor: minor / 1000)
    | st.just(MAX_AMOUNT)
)


words = st.text(max_size=3) | st.sampled_from(
    ["EUR", "eur", "Eur\n", "EÜR", "x" * 64, "é" * 64, "é" * 65, "x" * 300]
)


junk = st.none() | st.booleans() | st.lists(st.none(), max_size=1) | st.dictionaries(words, st.none(), max_size=1)


times = some_ms.map(lambda ms: ms / 1000) | some_ms.map(lambda ms: ms // 1000) | iso_times | words | numbers


of_field: dict[str, st.SearchStrategy[Any]] = {
    "timestamp": times,
    "amount": numbers,
    "lat": numbers,
    "long": numbers,
    **dict.fromkeys(
        ("transaction_id", "customer_id", "merchant_id", "device_id", "currency", "geo_location"), words
    ),
}


any_value = st.one_of(*of_field.values()) | junk
