"""The offline evaluator on histories small enough to check by eye; tests/parity holds the oracle against it."""

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from features.definitions import (
    AGGREGATE_COLUMNS,
    CUSTOMER_COLUMNS,
    DEVICE_COLUMNS,
    FEATURE_NAMES,
    MERCHANT_COLUMNS,
    NO_TIME,
)
from features.errors import InvalidHistory
from features.formulas import OWN_COLUMNS
from features.history import HISTORY_SCHEMA, history_to_batch
from features.offline import aggregate_logs, aggregate_merchants, offline_columns, offline_matrix
from features.transaction import NO_PLACE, Int64s

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
MONDAY_MS = 1_746_403_200_000
"""2025-05-05 00:00 UTC."""


def ints(*values: int) -> Int64s:
    return np.array(values, np.int64)


def counts(times: Int64s, arrival: Int64s | None = None) -> list[int]:
    """Return the device count in the last hour for events of one device."""
    ones = np.ones(len(times), np.int64)
    columns = aggregate_logs("device", 0 * ones, times, ones, arrival)
    return [int(count) for count in columns["device_count_1h"]]


def test_a_window_holds_its_tail_and_not_its_head() -> None:
    start = MONDAY_MS
    assert counts(ints(start, start + HOUR_MS)) == [0, 1]
    assert counts(ints(start, start + HOUR_MS + 1)) == [0, 0]
    assert counts(ints(start, start)) == [0, 0]
    assert counts(ints(start, start, start + 1)) == [0, 0, 2]


def test_results_follow_the_rows_and_not_the_time() -> None:
    assert counts(ints(MONDAY_MS + 2, MONDAY_MS, MONDAY_MS + 1)) == [2, 0, 1]


def test_what_arrives_later_is_not_seen() -> None:
    times = ints(MONDAY_MS + 2, MONDAY_MS, MONDAY_MS + 1)
    assert counts(times, arrival=ints(1, 2, 3)) == [0, 0, 1]
    assert counts(times, arrival=ints(3, 1, 2)) == [2, 0, 1]


def test_entities_do_not_see_each_other_and_rows_without_one_see_nothing() -> None:
    times = MONDAY_MS + np.arange(6)
    columns = aggregate_logs("device", ints(0, 1, -1, 0, -1, 0), times, ints(1, 2, 4, 8, 16, 32))
    assert columns["device_count_30d"].tolist() == [0, 0, 0, 1, 0, 2]
    assert columns["device_amount_30d"].tolist() == [0, 0, 0, 1, 0, 9]
    assert tuple(columns) == DEVICE_COLUMNS


def test_the_previous_place_is_the_last_known_one() -> None:
    times = MONDAY_MS + ints(0, 1, 2, 3)
    places = (ints(5, NO_PLACE, 6, 7), ints(50, NO_PLACE, 60, 70))
    columns = aggregate_logs("customer", ints(0, 0, 0, 0), times, ints(1, 1, 1, 1), None, places)
    assert tuple(columns) == CUSTOMER_COLUMNS
    assert columns["customer_previous_time_ms"].tolist() == [NO_TIME, *times[:3]]
    assert columns["customer_previous_place_time_ms"].tolist() == [NO_TIME, times[0], times[0], times[2]]
    assert columns["customer_previous_lat_udeg"].tolist() == [0, 5, 5, 6]
    assert columns["customer_previous_long_udeg"].tolist() == [0, 50, 50, 60]


def test_the_tail_of_a_merchant_window_is_snapped_to_a_tile() -> None:
    times = MONDAY_MS + ints(-1, 0, 4 * MINUTE_MS, HOUR_MS + 4 * MINUTE_MS)
    columns = aggregate_merchants(ints(0, 0, 0, 0), times, ints(1, 2, 4, 8), ints(0, 0, 0, 0))
    assert set(columns) == set(MERCHANT_COLUMNS)
    assert columns["merchant_count_1h"].tolist() == [0, 1, 2, 2]
    assert columns["merchant_amount_1h"].tolist() == [0, 1, 3, 6]


def test_frauds_count_by_quarters_of_a_day_and_only_after_the_label_delay() -> None:
    ready = 7 * DAY_MS + 6 * HOUR_MS
    times = MONDAY_MS + ints(0, DAY_MS, ready - 1, ready, ready + DAY_MS)
    columns = aggregate_merchants(ints(0, 0, 0, 0, 0), times, ints(1, 1, 1, 1, 1), ints(1, 0, 1, 0, 0))
    assert columns["merchant_delayed_count_1d"].tolist() == [0, 0, 0, 1, 1]
    assert columns["merchant_delayed_frauds_1d"].tolist() == [0, 0, 0, 1, 0]
    assert columns["merchant_delayed_count_30d"].tolist() == [0, 0, 0, 1, 2]
    assert columns["merchant_delayed_frauds_30d"].tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("arrival", [None, ints()])
def test_no_rows_give_empty_columns(arrival: Int64s | None) -> None:
    for column in aggregate_merchants(ints(), ints(), ints(), ints(), arrival).values():
        assert column.tolist() == []
    for column in aggregate_logs("device", ints(), ints(), ints(), arrival).values():
        assert column.tolist() == []


def test_too_many_entities_over_too_long_a_time_are_refused_and_not_mixed_up() -> None:
    with pytest.raises(InvalidHistory, match="use more partitions"):
        aggregate_logs("device", ints(0, 2**40), ints(MONDAY_MS, MONDAY_MS), ints(1, 1))


def history(**columns: list[object]) -> pa.Table:
    rows = len(columns["event_time"])
    arrays = [pa.array(columns.get(field.name, [None] * rows), field.type) for field in HISTORY_SCHEMA]
    return pa.table(arrays, schema=HISTORY_SCHEMA)


def two_payments(**columns: list[object]) -> pa.Table:
    smallest: dict[str, list[object]] = {
        "transaction_id": ["t0", "t1"],
        "event_time": [MONDAY_MS, MONDAY_MS + MINUTE_MS],
        "customer_id": ["ann", "ann"],
        "amount_minor": [100, 250],
    }
    return history(**{**smallest, **columns})


def test_a_history_of_the_least_columns_is_enough() -> None:
    columns = offline_columns(two_payments())
    assert set(columns) == {*OWN_COLUMNS, *AGGREGATE_COLUMNS}
    assert all(column.dtype == np.int64 and column.shape == (2,) for column in columns.values())
    assert columns["customer_amount_1h"].tolist() == [0, 100]
    assert columns["merchant_count_30d"].tolist() == columns["device_count_30d"].tolist() == [0, 0]
    assert offline_matrix(two_payments()).shape == (2, len(FEATURE_NAMES))


def test_own_columns_are_those_that_a_batch_would_bring() -> None:
    table = two_payments(lat=[None, 12.3456785], long=[None, -179.9999999])
    columns, batch = offline_columns(table), history_to_batch(table)
    for name in OWN_COLUMNS:
        assert columns[name].tolist() == getattr(batch, name).tolist()


def test_a_table_of_several_chunks_is_one_history() -> None:
    table = two_payments(merchant_id=["shop", "shop"], is_fraud=[1, None])
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 1)])
    np.testing.assert_array_equal(offline_matrix(chunked), offline_matrix(table))


def test_arrival_numbers_in_some_rows_alone_are_refused() -> None:
    with pytest.raises(InvalidHistory, match=r"arrival: null in 1 of 2 rows"):
        offline_columns(two_payments(arrival=[1, None]))
