"""What the features are, in numbers: nobody changes them by accident, or under the same fingerprint."""

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES, FORMULAS_VERSION, fingerprint
from features.history import HISTORY_SCHEMA
from features.offline import offline_matrix

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
MONDAY_MS = 1_746_403_200_000
"""2025-05-05 00:00 UTC."""

ADVICE = (
    "The features changed. If that was meant: raise FORMULAS_VERSION in features/definitions.py, pin the new "
    "fingerprint and values here, and train anew; servers refuse bundles of other features."
)

# time, cents, customer, merchant, device, latitude, longitude, fraud: in order of arrival. The fifth is late,
# and so is the last, whose label-delayed windows end within the first day.
ROWS = (
    (MONDAY_MS + 9 * HOUR_MS, 1050, "ann", "shop", "phone", 48.8566, 2.3522, 1),
    (MONDAY_MS + 9 * HOUR_MS + 7 * MINUTE_MS, 2500, "ann", "shop", "phone", None, None, 0),
    (MONDAY_MS + 9 * HOUR_MS + 7 * MINUTE_MS, 399, "bob", "shop", "phone", 51.5074, -0.1278, 0),
    (MONDAY_MS + 6 * DAY_MS + 3 * HOUR_MS, 9999, "ann", None, None, 40.7128, -74.006, 0),
    (MONDAY_MS + 6 * DAY_MS + 2 * HOUR_MS, 700, "ann", "shop", "phone", 41.0, -74.0, 1),
    (MONDAY_MS + 9 * DAY_MS + 23 * HOUR_MS, 120000, "ann", "shop", "phone", 41.0, -74.0, 0),
    (MONDAY_MS + 20 * DAY_MS, 5, "bob", "shop", None, None, None, None),
    (MONDAY_MS + 40 * DAY_MS, 777, "ann", "shop", "phone", -33.8688, 151.2093, 0),
    (MONDAY_MS + 7 * DAY_MS + 13 * HOUR_MS, 640, "bob", "shop", None, None, None, 0),
)

FINGERPRINT = "f96ec2b1bfa5cd1a"
VALUES: dict[str, tuple[float, ...]] = {
    "amount": (10.5, 25.0, 3.99, 99.99, 7.0, 1200.0, 0.05, 7.77, 6.4),
    "hour_of_day": (9.0, 9.0, 9.0, 3.0, 2.0, 23.0, 0.0, 0.0, 13.0),
    "day_of_week": (0.0, 0.0, 0.0, 6.0, 6.0, 2.0, 6.0, 5.0, 0.0),
    "is_night": (0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0),
    "is_weekend": (0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0),
    "count_last_1h": (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "count_last_24h": (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "count_last_7d": (0.0, 1.0, 0.0, 2.0, 2.0, 2.0, 0.0, 0.0, 0.0),
    "count_last_30d": (0.0, 1.0, 0.0, 2.0, 2.0, 4.0, 1.0, 0.0, 1.0),
    "amount_last_1h": (0.0, 10.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "amount_last_24h": (0.0, 10.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "amount_last_7d": (0.0, 10.5, 0.0, 35.5, 35.5, 106.99, 0.0, 0.0, 0.0),
    "amount_last_30d": (0.0, 10.5, 0.0, 35.5, 35.5, 142.49, 3.99, 0.0, 3.99),
    "avg_amount_7d": (0.0, 10.5, 0.0, 17.75, 17.75, 53.495, 0.0, 0.0, 0.0),
    "avg_amount_30d": (0.0, 10.5, 0.0, 17.75, 17.75, 35.6225, 3.99, 0.0, 3.99),
    "amount_ratio": (
        1.0,
        2.380952380952381,
        1.0,
        5.633239436619719,
        0.39436619718309857,
        22.432002990933732,
        1.0,
        1.0,
        1.0,
    ),
    "amount_ratio_30d": (
        1.0,
        2.380952380952381,
        1.0,
        5.633239436619719,
        0.39436619718309857,
        33.68657449645589,
        0.012531328320802004,
        1.0,
        1.6040100250626566,
    ),
    "amount_drift_7d": (1.0, 1.0, 1.0, 1.0, 1.0, 1.5017194189065899, 1.0, 1.0, 1.0),
    "has_history": (0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0),
    "seconds_since_previous": (
        2592000.0,
        420.0,
        2592000.0,
        496380.0,
        492780.0,
        331200.0,
        1695180.0,
        2592000.0,
        618780.0,
    ),
    "speed_kmh": (0.0, 0.0, 0.0, 42.29890579710145, 42.466992700729925, 0.3471630434782609, 0.0, 0.0, 0.0),
    "device_count_last_1h": (0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "device_count_last_24h": (0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "device_amount_last_24h": (0.0, 10.5, 10.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "device_has_history": (0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0),
    "merchant_count_last_1h": (0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "merchant_count_last_24h": (0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "merchant_count_last_30d": (0.0, 1.0, 1.0, 0.0, 3.0, 4.0, 5.0, 1.0, 4.0),
    "merchant_avg_amount_30d": (0.0, 10.5, 10.5, 0.0, 13.163333333333332, 11.6225, 249.298, 0.05, 11.6225),
    "merchant_amount_ratio_30d": (
        1.0,
        2.380952380952381,
        0.38,
        1.0,
        0.531780197518359,
        103.24801032480103,
        0.00020056318141340886,
        155.4,
        0.5506560550656056,
    ),
    "merchant_has_history": (0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0),
    "merchant_fraud_rate_1d": (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3333333333333333),
    "merchant_fraud_rate_3d": (0.0, 0.0, 0.0, 0.0, 0.0, 0.3333333333333333, 0.0, 0.0, 0.3333333333333333),
    "merchant_fraud_rate_7d": (0.0, 0.0, 0.0, 0.0, 0.0, 0.3333333333333333, 0.5, 0.0, 0.3333333333333333),
    "merchant_fraud_rate_21d": (0.0, 0.0, 0.0, 0.0, 0.0, 0.3333333333333333, 0.4, 0.0, 0.3333333333333333),
    "merchant_fraud_rate_30d": (
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        0.3333333333333333,
        0.4,
        0.3333333333333333,
        0.3333333333333333,
    ),
    "merchant_fraud_count_30d": (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 1.0, 1.0),
}


def test_values_and_fingerprint_are_pinned_together() -> None:
    matrix = offline_matrix(golden_history())
    for position, name in enumerate(FEATURE_NAMES):
        np.testing.assert_array_equal(matrix[:, position], VALUES[name], f"{name}. {ADVICE}")
    assert (FORMULAS_VERSION, fingerprint(), tuple(VALUES)) == (2, FINGERPRINT, FEATURE_NAMES), ADVICE


def golden_history() -> pa.Table:
    names = ("event_time", "amount_minor", "customer_id", "merchant_id", "device_id", "lat", "long", "is_fraud")
    columns = dict(zip(names, zip(*ROWS, strict=True), strict=True))
    columns["transaction_id"] = tuple(f"t{i}" for i in range(len(ROWS)))
    columns["arrival"] = tuple(range(len(ROWS)))
    nothing = (None,) * len(ROWS)
    arrays = [pa.array(columns.get(field.name, nothing), field.type) for field in HISTORY_SCHEMA]
    return pa.table(arrays, schema=HISTORY_SCHEMA)
