"""Rows of Arrow are judged as single transactions of the same values are; tables that do not fit are refused."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features.arrow_rows import admit_arrow, check_schema
from features.errors import InvalidTransaction
from tests.unit.features.judged import NOW_MS, assert_judged_alike, iso_times, some_ms, words

UNITS = ("s", "ms", "us", "ns")


TEXTS = (
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.uint32(), pa.large_string()),
)


NUMBERS = (
    pa.float64(),
    pa.float32(),
    pa.int64(),
    pa.int16(),
    pa.uint64(),
    pa.decimal128(12, 2),
    pa.decimal256(40, 5),
)


TIMES = (
    *(pa.timestamp(unit, zone) for unit in UNITS for zone in (None, "UTC", "Europe/Paris")),
    pa.int64(),
    pa.int32(),
    pa.float64(),
    pa.decimal128(18, 6),
    *TEXTS,
)


def cells_of(kind: pa.DataType, name: str) -> st.SearchStrategy[Any]:
    if pa.types.is_timestamp(kind):
        ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        extremes = st.integers(-(2**63) + 1, 2**63 - 1)
        return some_ms.filter(lambda ms: abs(ms) < 9 * 10**12).map(lambda ms: ms * ticks // 1000) | extremes
    if pa.types.is_decimal(kind):
        most = 10 ** min(kind.precision, 15) - 1
        return st.integers(-most, most).map(lambda digits: Decimal(digits).scaleb(-kind.scale))
    if pa.types.is_integer(kind):
        bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        usual = st.integers(1, min(high, 200)) | some_ms.map(lambda ms: ms // 1000)
        return (st.integers(low, high) | usual).filter(lambda number: low <= number <= high)
    if pa.types.is_floating(kind):
        return st.floats(width=kind.bit_width) | st.floats(0.125, 90, width=kind.bit_width)
    return (iso_times | words) if name == "timestamp" else words


@st.composite
def tables(draw: st.DrawFn) -> pa.RecordBatch:
    n = draw(st.integers(1, 6))
    kinds = {"timestamp": draw(st.sampled_from(TIMES)), "amount": draw(st.sampled_from(NUMBERS))}
    kinds["customer_id"] = draw(st.sampled_from(TEXTS))
    for name in draw(st.lists(st.sampled_from(["transaction_id", "merchant_id", "currency"]), unique=True)):
        kinds[name] = draw(st.sampled_from((*TEXTS, pa.null())))
    for name in draw(st.lists(st.sampled_from(["lat", "long"]), unique=True)):
        kinds[name] = draw(st.sampled_from((*NUMBERS, pa.null())))
    arrays = []
    for name, kind in kinds.items():
        cells = cells_of(kind, name) if not pa.types.is_null(kind) else st.none()
        cells = st.none() | cells if draw(st.booleans()) else cells
        values = draw(st.lists(cells, min_size=n, max_size=n))
        if pa.types.is_timestamp(kind):
            arrays.append(pa.array(values, pa.int64()).cast(kind))
        elif pa.types.is_dictionary(kind):
            arrays.append(pa.array(values, kind.value_type).dictionary_encode().cast(kind))
        else:
            arrays.append(pa.array(values, kind))
    batch = pa.record_batch(arrays, names=list(kinds))
    start = draw(st.integers(0, n - 1))
    return batch.slice(start)


def decimals() -> pa.RecordBatch:
    """Return amounts half a cent above a cent, which the nearest floats decide."""
    amounts = [Decimal(n).scaleb(-3) for n in range(5, 100_000, 370)]
    n = len(amounts)
    columns = {
        "timestamp": [1_770_000_000.5] * n,
        "customer_id": ["c"] * n,
        "lat": [float("nan"), None] * (n // 2),
    }
    columns["lat"] += [1.0] * (n - len(columns["lat"]))
    return pa.record_batch({**columns, "amount": pa.array(amounts, pa.decimal128(12, 3))})


def as_a_client_would_write_it(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows as JSON would carry them: numbers as numbers, moments as ISO 8601."""
    rows = []
    for at in range(len(batch)):
        row = {}
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            value = moment_of(column[at]) if pa.types.is_timestamp(column.type) else column[at].as_py()
            if value is not None:
                row[name] = float(value) if isinstance(value, Decimal) else value
        rows.append(row)
    return rows


def moment_of(cell: pa.Scalar) -> Any:
    if cell.value is None:
        return None
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[cell.type.unit]
    microseconds = cell.value * 10**6 // per_second
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return microseconds // 10**6


@given(tables())
@example(decimals())
@settings(max_examples=100)
def test_arrow_rows_are_judged_as_single_transactions_of_the_same_values_are(batch: pa.RecordBatch) -> None:
    check_schema(batch.schema)
    assert_judged_alike(admit_arrow(batch, NOW_MS), as_a_client_would_write_it(batch))


def table(**columns: Any) -> pa.RecordBatch:
    whole = {"timestamp": pa.array([1_770_000_000]), "customer_id": pa.array(["c"]), "amount": pa.array([1.5])}
    return pa.record_batch({name: column for name, column in (whole | columns).items() if column is not None})


@pytest.mark.parametrize(
    ("columns", "field", "message"),
    [
        ({"colour": pa.array(["red"])}, "colour", "is not a field of a transaction"),
        ({"x" * 99: pa.array(["red"])}, "x" * 64, "is not a field of a transaction"),
        ({"customer_id": None}, "customer_id", "is required"),
        ({"customer_id": pa.array([7])}, "customer_id", "must be a column of strings, not int64"),
        ({"amount": pa.array(["7"])}, "amount", "must be a column of numbers, not string"),
        ({"lat": pa.array([True])}, "lat", "must be a column of numbers, not bool"),
        ({"currency": pa.array([b"EUR"])}, "currency", "must be a column of strings, not binary"),
        (
            {"timestamp": pa.array([datetime(2026, 1, 1).date()])},
            "timestamp",
            "must be a column of timestamps, epoch seconds or ISO 8601 strings, not date32[day]",
        ),
    ],
)
def test_a_table_that_does_not_fit_the_contract_is_refused_by_its_column(
    columns: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidTransaction) as refused:
        check_schema(table(**columns).schema)
    assert (refused.value.field, refused.value.message) == (field, message)


def test_a_column_that_is_there_twice_is_refused() -> None:
    batch = table()
    twice = pa.record_batch([*batch.columns, batch.column(0)], names=[*batch.schema.names, "timestamp"])
    with pytest.raises(InvalidTransaction, match="timestamp: is there more than once"):
        check_schema(twice.schema)


@pytest.mark.parametrize("kind", [pa.string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_a_megabyte_of_text_is_refused_and_never_copied_for_each_row(kind: pa.DataType) -> None:
    megabyte = pa.array(["x" * 2**20])
    column = megabyte.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else megabyte.cast(kind)
    fault = admit_arrow(table(customer_id=column), NOW_MS).faults[0]
    assert isinstance(fault, ValidationError)
    assert [error["loc"] for error in fault.errors()] == [("customer_id",)]
    assert len(fault.errors()[0]["input"]) == 65


def test_of_a_slice_of_views_the_right_texts_are_measured() -> None:
    ids = pa.array(["x" * 2**20, "c1", "c2"], pa.string_view())
    batch = table(customer_id=ids, timestamp=pa.array([1_770_000_000] * 3), amount=pa.array([1.5] * 3))
    assert admit_arrow(batch.slice(1), NOW_MS).batch.customer_id == ["c1", "c2"]


def test_a_null_in_a_dictionary_is_a_null() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), pa.array(["m", None]))
    batch = table(
        merchant_id=words,
        timestamp=pa.array([1_770_000_000] * 3),
        customer_id=pa.array(["c"] * 3),
        amount=pa.array([1.5] * 3),
    )
    assert admit_arrow(batch, NOW_MS).batch.merchant_id == ["m", None, None]


def test_columns_of_good_rows_raise_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.admission.admit_one", lambda *_: pytest.fail("in doubt"))
    for timestamp in (
        pa.array([1_770_000_000]),
        pa.array([1_770_000_000.5]),
        pa.array(["2026-02-02T02:40:00Z"]),
        pa.array([datetime(2026, 2, 2)], pa.timestamp("ns")),
        pa.array([datetime(2026, 2, 2, tzinfo=UTC)], pa.timestamp("s", "UTC")),
    ):
        admitted = admit_arrow(table(timestamp=timestamp, lat=pa.array([1.5]), long=pa.array([2])), NOW_MS)
        assert len(admitted.batch) == 1
        assert admitted.batch.lat_udeg.dtype == np.int32
