"""From history rows to the request bodies that a payment backend would have sent."""

from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]

from features.transaction import TEXT_COLUMNS
from training.arrivals import moment

_FIELDS = (*TEXT_COLUMNS, "lat", "long")


def request_bodies(table: pa.Table) -> list[dict[str, Any]]:
    """Return a JSON object a row of a history table, as POST /predict takes it.

    What a row lacks its body lacks too. The amount is in major units and comes back to the same minor units
    (a double holds every amount up to ``MAX_AMOUNT`` to far less than half a cent).
    """
    times = table.column("event_time").cast(pa.int64()).to_pylist()
    rows = table.drop_columns("event_time").to_pylist()
    return [_body(time_ms, row) for time_ms, row in zip(times, rows, strict=True)]


def _body(event_time_ms: int, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "transaction_id": row["transaction_id"],
        "timestamp": timestamp(event_time_ms),
        "amount": row["amount_minor"] / 100,
        **{name: row[name] for name in _FIELDS if row[name] is not None},
    }


def timestamp(time_ms: int) -> str:
    """Return an event time as ISO 8601 in UTC with milliseconds.

    >>> timestamp(1_533_686_400_001)
    '2018-08-08T00:00:00.001Z'
    """
    return moment(time_ms).strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"
