"""From aggregates to features."""

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import AGGREGATE_COLUMNS, FEATURE_NAMES, NO_TIME
from features.formulas import OWN_COLUMNS, feature_matrix
from features.transaction import EARLIEST_EVENT_TIME_MS, NO_PLACE

HOUR_MS = 3_600_000
NOON_MS = int(datetime(2025, 5, 7, 12, tzinfo=UTC).timestamp() * 1000)
"""A Wednesday."""

NO_HISTORY = {
    **dict.fromkeys(AGGREGATE_COLUMNS, 0),
    "customer_previous_time_ms": NO_TIME,
    "customer_previous_place_time_ms": NO_TIME,
    "event_time_ms": NOON_MS,
    "amount_minor": 2550,
    "lat_udeg": NO_PLACE,
    "long_udeg": NO_PLACE,
}


def features(**columns: int) -> dict[str, float]:
    """Return the features of one transaction, which has no history but for the given columns."""
    row = {name: np.array([value]) for name, value in {**NO_HISTORY, **columns}.items()}
    return dict(zip(FEATURE_NAMES, feature_matrix(row)[0].tolist(), strict=True))


def test_a_transaction_without_history_says_so() -> None:
    row = features()
    assert row["amount"] == 25.5
    assert row["has_history"] == row["device_has_history"] == row["merchant_has_history"] == 0
    assert row["amount_ratio"] == row["amount_ratio_30d"] == row["merchant_amount_ratio_30d"] == 1
    assert row["amount_drift_7d"] == 1
    assert row["seconds_since_previous"] == 30 * 24 * 3600
    assert row["speed_kmh"] == 0
    assert {row[name] for name in FEATURE_NAMES if "count" in name or "rate" in name} == {0}
    assert {row[name] for name in FEATURE_NAMES if name.startswith(("avg_", "amount_last"))} == {0}


def test_the_ratio_compares_the_amount_with_the_mean_of_the_past() -> None:
    row = features(customer_count_7d=4, customer_amount_7d=1020)
    assert row["avg_amount_7d"] == 2.55
    assert row["amount_ratio"] == 10


def test_the_drift_compares_the_mean_of_a_week_with_that_of_a_month() -> None:
    month = {"customer_count_30d": 8, "customer_amount_30d": 4000}
    assert features(**month, customer_count_7d=2, customer_amount_7d=3000)["amount_drift_7d"] == 3
    assert features(**month)["amount_drift_7d"] == 1


def test_the_drift_of_the_largest_sums_does_not_overflow() -> None:
    sums = {f"customer_{what}_{w}": n for w in ("7d", "30d") for what, n in (("count", 4096), ("amount", 2**60))}
    assert features(**sums)["amount_drift_7d"] == 1


def test_the_fraud_rate_is_the_part_of_the_known_labels() -> None:
    row = features(merchant_delayed_count_7d=8, merchant_delayed_frauds_7d=2)
    assert row["merchant_fraud_rate_7d"] == 0.25


def test_a_previous_payment_longer_ago_than_30_days_counts_as_none() -> None:
    assert features(customer_previous_time_ms=NOON_MS - 1500)["seconds_since_previous"] == 1.5
    long_ago = features(customer_previous_time_ms=NOON_MS - 31 * 24 * HOUR_MS)
    assert long_ago["seconds_since_previous"] == 30 * 24 * 3600


def test_speed_is_distance_by_time() -> None:
    here = {"lat_udeg": 0, "long_udeg": 1_000_000}
    before = {"customer_previous_place_time_ms": NOON_MS - HOUR_MS}
    assert features(**here, **before)["speed_kmh"] == 111.195
    assert features(**here)["speed_kmh"] == 0
    assert features(**before)["speed_kmh"] == 0


@pytest.mark.parametrize(("hour", "is_night"), [(0, 1), (5, 1), (6, 0), (23, 0)])
def test_the_night_ends_at_six(hour: int, is_night: int) -> None:
    assert features(event_time_ms=NOON_MS + (hour - 12) * HOUR_MS)["is_night"] == is_night


@pytest.mark.parametrize(("day", "is_weekend"), [(5, 0), (9, 0), (10, 1), (11, 1), (12, 0)])
def test_the_weekend_is_saturday_and_sunday(day: int, is_weekend: int) -> None:
    moment = datetime(2025, 5, day, 23, 59, tzinfo=UTC)
    assert features(event_time_ms=int(moment.timestamp() * 1000))["is_weekend"] == is_weekend


@given(st.integers(EARLIEST_EVENT_TIME_MS, 4_102_444_800_000))
def test_hour_and_weekday_are_those_of_the_calendar_in_utc(time_ms: int) -> None:
    moment = datetime.fromtimestamp(time_ms // 1000, UTC)
    row = features(event_time_ms=time_ms)
    assert (row["hour_of_day"], row["day_of_week"]) == (moment.hour, moment.weekday())


def test_a_matrix_of_no_transactions_has_all_columns() -> None:
    none = {name: np.zeros(0, np.int64) for name in (*OWN_COLUMNS, *AGGREGATE_COLUMNS)}
    assert feature_matrix(none).shape == (0, len(FEATURE_NAMES))


def test_every_value_is_finite_at_the_extremes() -> None:
    largest = dict.fromkeys(AGGREGATE_COLUMNS, 10**6) | {"amount_minor": 10**11}
    assert all(np.isfinite(list(features(**largest).values())))
    assert all(np.isfinite(list(features(amount_minor=10**11).values())))
