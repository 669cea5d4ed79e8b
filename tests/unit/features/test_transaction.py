"""The contract at the door, and a micro-batch as columns."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from features.errors import InvalidTransaction
from features.transaction import (
    EARLIEST_EVENT_TIME_MS,
    MAX_AMOUNT,
    MAX_CLOCK_SKEW_MS,
    NO_PLACE,
    Transaction,
    TransactionBatch,
    amount_to_minor,
    amounts_to_minor,
    check_transaction,
    degrees_to_udeg,
    event_time_ms,
    transaction_hash,
    transaction_hashes,
)

NOW_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
SMALLEST = {"timestamp": "2025-05-05T10:00:00Z", "customer_id": "c", "amount": 12.34}


def transaction(**fields: Any) -> Transaction:
    return Transaction.model_validate({**SMALLEST, **fields})


def test_the_smallest_transaction_has_three_fields() -> None:
    assert transaction().merchant_id is None


@pytest.mark.parametrize("missing", SMALLEST)
def test_each_of_the_three_is_required(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing):
        Transaction.model_validate({name: value for name, value in SMALLEST.items() if name != missing})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("amount", value) for value in (0, -1, float("nan"), float("inf"), "12", True, None, 2 * MAX_AMOUNT)),
        *(("customer_id", value) for value in ("", "x" * 65, 7, None)),
        *(("transaction_id", value) for value in ("", "x" * 65)),
        *(("timestamp", value) for value in ("yesterday", None, "")),
        *(("currency", value) for value in ("EURO", "E1R", "")),
        *(("lat", value) for value in (90.1, "45", float("nan"))),
        ("long", -180.1),
        ("is_fraud", 0),
    ],
)
def test_what_the_contract_does_not_admit_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        transaction(**{field: value})
    assert {error["loc"] for error in refused.value.errors()} == {(field,)}


@pytest.mark.parametrize(
    "timestamp",
    [
        "2025-05-05T10:00:00Z",
        "2025-05-05T10:00:00",
        "2025-05-05T12:00:00+02:00",
        "2025-05-05 10:00:00",
        1746439200,
        1746439200.0,
    ],
)
def test_one_moment_in_every_spelling(timestamp: Any) -> None:
    assert event_time_ms(transaction(timestamp=timestamp).timestamp) == 1_746_439_200_000


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)), st.integers(-12, 14))
def test_an_offset_moves_the_clock_and_not_the_moment(moment: datetime, hours: int) -> None:
    zoned = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=hours)))
    assert event_time_ms(zoned) == event_time_ms(moment)


@given(st.integers(1, 100 * MAX_AMOUNT))
def test_cents_survive_the_way_through_a_float(minor: int) -> None:
    assert amount_to_minor(minor / 100) == minor


@given(st.lists(st.floats(0.01, MAX_AMOUNT)))
def test_amounts_as_a_column_are_the_amounts_one_by_one(amounts: list[float]) -> None:
    assert amounts_to_minor(np.array(amounts, float)).tolist() == [amount_to_minor(a) for a in amounts]


def test_coordinates_are_whole_micro_degrees() -> None:
    assert [degrees_to_udeg(d) for d in (None, 0.0, -74.0060004, 180.0)] == [NO_PLACE, 0, -74_006_000, 180_000_000]


def test_the_hash_of_an_id_never_changes() -> None:
    """Logs outlive processes and releases."""
    assert transaction_hash("t1") == 3012898748006197707
    assert transaction_hash("é") != transaction_hash("e")


@given(st.lists(st.text(min_size=1)))
def test_hashes_as_a_column_are_the_hashes_one_by_one(ids: list[str]) -> None:
    assert transaction_hashes(ids).tolist() == [transaction_hash(i) for i in ids]


def test_batches_laid_end_to_end_and_cut_again_are_the_batches() -> None:
    batch = TransactionBatch.of([transaction(transaction_id=f"t{i}", amount=i + 1) for i in range(5)])
    parts = [batch.slice(0, 2), batch.slice(2, 5)]
    assert [part.transaction_id for part in parts] == [["t0", "t1"], ["t2", "t3", "t4"]]
    assert parts[1].amount_minor.tolist() == [300, 400, 500]
    whole = TransactionBatch.concat(parts)
    for name in TransactionBatch.__dataclass_fields__:
        assert list(getattr(whole, name)) == list(getattr(batch, name))
    assert TransactionBatch.concat([batch]) is batch.slice(0, 9) is batch


@pytest.mark.parametrize("time_ms", [EARLIEST_EVENT_TIME_MS, NOW_MS, NOW_MS + MAX_CLOCK_SKEW_MS])
def test_plausible_dates_pass(time_ms: int) -> None:
    check_transaction(transaction(timestamp=time_ms / 1000), NOW_MS)


@pytest.mark.parametrize("time_ms", [EARLIEST_EVENT_TIME_MS - 1000, NOW_MS + MAX_CLOCK_SKEW_MS + 1000])
def test_absurd_dates_are_refused(time_ms: int) -> None:
    with pytest.raises(InvalidTransaction) as refused:
        check_transaction(transaction(timestamp=time_ms / 1000), NOW_MS)
    assert refused.value.field == "timestamp"


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"lat": 1.0}, "long"), ({"long": 1.0}, "lat"), ({"amount": 0.004}, "amount")],
)
def test_half_a_place_and_less_than_a_cent_are_refused(fields: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidTransaction) as refused:
        check_transaction(transaction(**fields), NOW_MS)
    assert refused.value.field == field


def test_a_batch_has_the_columns_of_its_transactions() -> None:
    full = transaction(
        transaction_id="t1", merchant_id="m", device_id="d", lat=1.5, long=-2.25, currency="EUR", geo_location="IN"
    )
    batch = TransactionBatch.of([full, transaction()])
    assert len(batch) == 2
    assert batch.transaction_id[0] == "t1"
    assert batch.amount_minor.tolist() == [1234, 1234]
    assert batch.event_time_ms.tolist() == [1_746_439_200_000] * 2
    assert (batch.merchant_id, batch.device_id) == (["m", None], ["d", None])
    assert batch.lat_udeg.tolist() == [1_500_000, NO_PLACE]
    assert batch.long_udeg.tolist() == [-2_250_000, NO_PLACE]
    assert (batch.currency, batch.geo_location) == (["EUR", None], ["IN", None])


def test_an_absent_id_is_assigned_once_for_each_transaction() -> None:
    ids = TransactionBatch.of([transaction(), transaction()]).transaction_id
    assert len(set(ids)) == 2
    assert all(0 < len(i) <= 64 for i in ids)


def test_taken_rows_come_in_the_given_order() -> None:
    batch = TransactionBatch.of([transaction(transaction_id=f"t{i}", amount=i + 1) for i in range(4)])
    taken = batch.take([3, 1])
    assert taken.transaction_id == ["t3", "t1"]
    assert taken.amount_minor.tolist() == [400, 200]
    assert len(batch.take([])) == 0
