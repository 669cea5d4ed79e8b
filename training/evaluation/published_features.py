"""The 15 features of the Fraud Detection Handbook (chapter 3), for its baselines alone; they are never served.

They differ from the product's in where a window ends: the customer's is ``(t - w, t]``, so that the transaction is
in its own count and mean, and the terminal's is ``(t - 7 d - w, t - 7 d]``. The product's windows are
``[t - w, t)``, because a payment that stands in its own mean hides how unusual it is.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.definitions import D1, D7, D30, DAY_MS, HOUR_MS, LABEL_DELAY_MS, Window
from features.entity_events import EntityEvents, cumulative
from features.formulas import Matrix
from features.transaction import Int64s
from training.costs import MINOR_UNITS
from training.models import Floats

WINDOWS: Final = (D1, D7, D30)
LAST_NIGHT_HOUR: Final = 6
"""The handbook's night ends with 06:59, the product's (``is_night``) with 05:59."""
FIRST_WEEKEND_DAY: Final = 5
"""Saturday, where Monday is 0."""


@dataclass(frozen=True, slots=True)
class PublishedFeature:
    """One column: its name here, its name in the handbook, and what it is."""

    name: str
    published_name: str
    words: str


def _windowed(window: Window) -> tuple[PublishedFeature, ...]:
    days = f"{window.duration_ms // DAY_MS}DAY_WINDOW"
    return (
        PublishedFeature(
            f"count_{window.name}_inclusive",
            f"CUSTOMER_ID_NB_TX_{days}",
            f"payments of the customer in (t - {window.name}, t], this one included",
        ),
        PublishedFeature(
            f"avg_amount_{window.name}_inclusive",
            f"CUSTOMER_ID_AVG_AMOUNT_{days}",
            f"mean amount of the customer in (t - {window.name}, t], this payment included",
        ),
        PublishedFeature(
            f"merchant_count_{window.name}_delayed",
            f"TERMINAL_ID_NB_TX_{days}",
            f"payments of the terminal in (t - 7d - {window.name}, t - 7d]",
        ),
        PublishedFeature(
            f"merchant_fraud_rate_{window.name}_delayed",
            f"TERMINAL_ID_RISK_{days}",
            "frauds among them, as a share; 0 if there are none",
        ),
    )


PUBLISHED_FEATURES: Final = (
    PublishedFeature("amount", "TX_AMOUNT", "the amount in major units"),
    PublishedFeature("is_weekend", "TX_DURING_WEEKEND", "Saturday or Sunday"),
    PublishedFeature("is_night_until_06", "TX_DURING_NIGHT", "from 00:00 to 06:59"),
    *(feature for window in WINDOWS for feature in _windowed(window)),
)
PUBLISHED_NAMES: Final = tuple(feature.name for feature in PUBLISHED_FEATURES)


def published_matrix(history: pa.Table) -> Matrix:
    """Return the published features (n, 15) float64 of a history table, in its row order and ``PUBLISHED_NAMES``.

    Args:
        history: ``HISTORY_SCHEMA``; every row that a window can reach must be in it. A missing label counts as
            genuine, as it does in the product's features.
    """
    time: Int64s = history.column("event_time").cast(pa.int64()).to_numpy()
    amount: Int64s = history.column("amount_minor").to_numpy()
    fraud: Int64s = pc.fill_null(history.column("is_fraud"), 0).to_numpy().astype(np.int64)
    customers = EntityEvents.of(_codes(history, "customer_id"), {"time": time, "amount": amount}, None)
    merchants = EntityEvents.of(_codes(history, "merchant_id"), {"time": time, "fraud": fraud}, None)
    columns: dict[str, Floats] = {
        "amount": amount / MINOR_UNITS,
        # Day 0 of the epoch was a Thursday, 3.
        "is_weekend": ((time // DAY_MS + 3) % 7 >= FIRST_WEEKEND_DAY).astype(np.float64),
        "is_night_until_06": (time % DAY_MS // HOUR_MS <= LAST_NIGHT_HOUR).astype(np.float64),
    }
    for window in WINDOWS:
        count, total = _sums(customers, "amount", window, 0, len(history))
        columns[f"count_{window.name}_inclusive"] = count
        columns[f"avg_amount_{window.name}_inclusive"] = _share(total, count) / MINOR_UNITS
        count, frauds = _sums(merchants, "fraud", window, LABEL_DELAY_MS, len(history))
        columns[f"merchant_count_{window.name}_delayed"] = count
        columns[f"merchant_fraud_rate_{window.name}_delayed"] = _share(frauds, count)
    return np.stack([columns[name] for name in PUBLISHED_NAMES], axis=1)


def _sums(events: EntityEvents, value: str, window: Window, delay_ms: int, rows: int) -> tuple[Floats, Floats]:
    """Return count and sum of a value (rows,) over ``(t - delay - w, t - delay]`` of each row's entity."""
    key = events.time_key()
    end = np.searchsorted(key, key - delay_ms, "right")
    begin = np.searchsorted(key, key - delay_ms - window.duration_ms, "right")
    sums = cumulative(events.values[value])
    count, total = np.zeros(rows), np.zeros(rows)
    count[events.row] = end - begin
    total[events.row] = sums[end] - sums[begin]
    return count, total


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _codes(history: pa.Table, name: str) -> Int64s:
    indices = history.column(name).combine_chunks().dictionary_encode().indices
    codes: Int64s = pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes
