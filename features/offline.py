"""The offline evaluator: the aggregates of a whole history at once, as columns.

An entity whose events arrived in the order of their event time is *prompt*: its windows are ranges of one
sorted array, found by binary search, and sums are differences of cumulative sums. The other entities take the
exact path of :mod:`features.late_arrivals`.
"""

from collections.abc import Callable
from typing import Final, Literal

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.definitions import (
    CUSTOMER_WINDOWS,
    D30,
    DAY_QUARTER_MS,
    DEVICE_WINDOWS,
    LABEL_DELAY_MS,
    LOG_EVENTS,
    NO_TIME,
    RECENT_EVENTS,
    RISK_WINDOWS,
    VELOCITY_LEVELS,
)
from features.entity_events import EntityEvents, cumulative
from features.errors import InvalidHistory
from features.formulas import Matrix, feature_matrix
from features.history import coordinates_udeg
from features.known_labels import is_recorded, label_changes, recorded_frauds
from features.late_arrivals import late_log_columns, late_merchant_columns
from features.transaction import NO_PLACE, Int64s

LOG_WINDOWS: Final = {"customer": CUSTOMER_WINDOWS, "device": DEVICE_WINDOWS}


def offline_matrix(history: pa.Table) -> Matrix:
    """Return the feature matrix (n, features) float64 of a history table, in the table's row order."""
    return feature_matrix(offline_columns(history))


def offline_columns(history: pa.Table) -> dict[str, Int64s]:
    """Return ``OWN_COLUMNS`` and ``AGGREGATE_COLUMNS``, each (n,) int64, in the table's row order.

    Args:
        history: a whole history in :data:`features.history.HISTORY_SCHEMA`; every row sees the rows that
            arrived before it.

    Raises:
        InvalidHistory: ``arrival`` is null in some rows and set in others.
    """
    return {
        **own_columns(history),
        **customer_columns(history),
        **device_columns(history),
        **merchant_columns(history),
    }


def own_columns(history: pa.Table) -> dict[str, Int64s]:
    """Return ``OWN_COLUMNS`` of a history table, each (n,) int64."""
    return {
        "event_time_ms": _event_time_ms(history),
        "amount_minor": _amount_minor(history),
        "lat_udeg": coordinates_udeg(history, "lat"),
        "long_udeg": coordinates_udeg(history, "long"),
    }


def customer_columns(history: pa.Table) -> dict[str, Int64s]:
    """Return ``CUSTOMER_COLUMNS`` of a table that holds every earlier row of its customers."""
    return aggregate_logs(
        "customer",
        _codes(history, "customer_id"),
        _event_time_ms(history),
        _amount_minor(history),
        _arrival(history),
        (coordinates_udeg(history, "lat"), coordinates_udeg(history, "long")),
    )


def device_columns(history: pa.Table) -> dict[str, Int64s]:
    """Return ``DEVICE_COLUMNS`` of a table that holds every earlier row of its devices."""
    return aggregate_logs(
        "device",
        _codes(history, "device_id"),
        _event_time_ms(history),
        _amount_minor(history),
        _arrival(history),
    )


def merchant_columns(history: pa.Table) -> dict[str, Int64s]:
    """Return ``MERCHANT_COLUMNS`` of a table that holds every earlier row of its merchants.

    Labels whose time of knowing is recorded count from then on; the others after the label delay.
    """
    codes, time = _codes(history, "merchant_id"), _event_time_ms(history)
    is_fraud = pc.fill_null(history.column("is_fraud"), 0).to_numpy().astype(np.int64)
    unrecorded = np.where(is_recorded(history), 0, is_fraud)
    columns = aggregate_merchants(codes, time, _amount_minor(history), unrecorded, _arrival(history))
    for name, frauds in recorded_frauds(codes, time, label_changes(history)).items():
        columns[name] += frauds
    return columns


def aggregate_logs(
    entity: Literal["customer", "device"],
    codes: Int64s,
    event_time_ms: Int64s,
    amount_minor: Int64s,
    arrival: Int64s | None = None,
    places: tuple[Int64s, Int64s] | None = None,
) -> dict[str, Int64s]:
    """Return the window aggregates of exact event logs, each (n,) int64, aligned to the input.

    Args:
        entity: names the columns and selects the windows.
        codes: (n,) the entity of each row as an integer; -1 for none.
        event_time_ms, amount_minor: (n,).
        arrival: (n,) sequence numbers; None: the rows arrived by event time, ties in row order.
        places: latitudes and longitudes (n,) in micro-degrees. With them the ``*_previous_*`` columns are
            returned too.
    """
    values = {"time": event_time_ms, "amount": amount_minor}
    if places is not None:
        values |= {"lat": places[0], "long": places[1]}

    def prompt(events: EntityEvents) -> dict[str, Int64s]:
        return _prompt_log_columns(entity, events)

    def late(events: EntityEvents) -> dict[str, Int64s]:
        return late_log_columns(entity, LOG_WINDOWS[entity], events)

    return _aggregate(codes, values, arrival, prompt, late)


def aggregate_merchants(
    codes: Int64s,
    event_time_ms: Int64s,
    amount_minor: Int64s,
    is_fraud: Int64s,
    arrival: Int64s | None = None,
) -> dict[str, Int64s]:
    """Return the tiled and the label-delayed aggregates of merchants, each (n,) int64, aligned to the input.

    Args:
        codes: (n,) the merchant of each row as an integer; -1 for none.
        event_time_ms, amount_minor: (n,).
        is_fraud: (n,) 1 for a fraud whose label is known after the label delay, and not before the row arrived; 0
            for no fraud, no label, or one that :mod:`features.known_labels` counts.
        arrival: (n,) sequence numbers; None: the rows arrived by event time, ties in row order.
    """
    values = {"time": event_time_ms, "amount": amount_minor, "fraud": is_fraud}
    return _aggregate(codes, values, arrival, _prompt_merchant_columns, late_merchant_columns)


_Evaluator = Callable[[EntityEvents], dict[str, Int64s]]


def _aggregate(
    codes: Int64s, values: dict[str, Int64s], arrival: Int64s | None, prompt: _Evaluator, late: _Evaluator
) -> dict[str, Int64s]:
    """Return the results of both evaluators by row; rows without an entity have no history."""
    events = EntityEvents.of(codes, values, arrival)
    result: dict[str, Int64s] = {}
    is_late = events.of_late_entities()
    for evaluator, rows in ((prompt, ~is_late), (late, is_late)):
        part = events.take(rows)
        for name, column in evaluator(part).items():
            target = result.setdefault(name, np.full(len(codes), _empty(name), np.int64))
            target[part.row] = column
    return result


def _empty(column: str) -> int:
    return NO_TIME if column.endswith("_time_ms") else 0


def _prompt_log_columns(entity: str, events: EntityEvents) -> dict[str, Int64s]:
    key, position = events.time_key(), np.arange(len(events))
    # Event times of a prompt entity do not decrease: [0, end) are the events before this one's time.
    end = _run_starts(key)
    oldest = np.minimum(np.maximum(position - LOG_EVENTS, 0), end)
    total = cumulative(events.values["amount"])
    counts, amounts = {}, {}
    for window in LOG_WINDOWS[entity]:
        begin = np.maximum(np.searchsorted(key, key - window.duration_ms), oldest)
        counts[f"{entity}_count_{window.name}"] = end - begin
        amounts[f"{entity}_amount_{window.name}"] = total[end] - total[begin]
    if "lat" not in events.values:
        return counts | amounts
    begin = np.maximum(np.searchsorted(key, key - D30.duration_ms), oldest)
    return counts | amounts | _previous(entity, events, begin, end)


def _previous(entity: str, events: EntityEvents, begin: Int64s, end: Int64s) -> dict[str, Int64s]:
    """Return time of the last event in ``[begin, end)`` and time and place of the last one with a place."""
    time, lat = events.values["time"], events.values["lat"]
    last = np.maximum(end - 1, 0)
    placed = np.maximum.accumulate(np.where(lat != NO_PLACE, np.arange(len(events)), -1))[last]
    has_place = (end > begin) & (placed >= begin)
    return {
        f"{entity}_previous_time_ms": np.where(end > begin, time[last], NO_TIME),
        f"{entity}_previous_place_time_ms": np.where(has_place, time[placed], NO_TIME),
        f"{entity}_previous_lat_udeg": np.where(has_place, lat[placed], 0),
        f"{entity}_previous_long_udeg": np.where(has_place, events.values["long"][placed], 0),
    }


def _prompt_merchant_columns(events: EntityEvents) -> dict[str, Int64s]:
    time, key, position = events.values["time"], events.time_key(), np.arange(len(events))
    # Ties older than the newest RECENT_EVENTS arrivals cannot be told from history any more.
    end = np.maximum(_run_starts(key), position - RECENT_EVENTS)
    total, frauds = cumulative(events.values["amount"]), cumulative(events.values["fraud"])
    columns: dict[str, Int64s] = {}
    for level in VELOCITY_LEVELS:
        tail = (time - level.window.duration_ms) // level.tile_ms * level.tile_ms
        begin = np.searchsorted(key, key - (time - tail))
        columns[f"merchant_count_{level.window.name}"] = end - begin
        columns[f"merchant_amount_{level.window.name}"] = total[end] - total[begin]
    head = (time - LABEL_DELAY_MS) // DAY_QUARTER_MS * DAY_QUARTER_MS
    end = np.searchsorted(key, key - (time - head))
    for window in RISK_WINDOWS:
        # Windows are whole days long, so their tail is snapped where their head is.
        begin = np.searchsorted(key, key - (time - head + window.duration_ms))
        columns[f"merchant_delayed_count_{window.name}"] = end - begin
        columns[f"merchant_delayed_frauds_{window.name}"] = frauds[end] - frauds[begin]
    return columns


def _run_starts(key: Int64s) -> Int64s:
    """Return for each element (n,) of a sorted array the index of the first one equal to it.

    >>> _run_starts(np.array([3, 5, 5, 8])).tolist()
    [0, 1, 1, 3]
    """
    starts = np.arange(len(key))
    starts[1:][key[1:] == key[:-1]] = 0
    return np.maximum.accumulate(starts)


def _event_time_ms(history: pa.Table) -> Int64s:
    time: Int64s = history.column("event_time").cast(pa.int64()).to_numpy()
    return time


def _amount_minor(history: pa.Table) -> Int64s:
    amount: Int64s = history.column("amount_minor").to_numpy()
    return amount


def _codes(history: pa.Table, name: str) -> Int64s:
    indices = history.column(name).combine_chunks().dictionary_encode().indices
    codes: Int64s = pc.fill_null(indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes


def _arrival(history: pa.Table) -> Int64s | None:
    arrival = history.column("arrival")
    check_arrival(arrival.null_count, len(arrival))
    if arrival.null_count == len(arrival):
        return None
    sequence: Int64s = arrival.to_numpy()
    return sequence


def check_arrival(nulls: int, rows: int) -> None:
    """Check that the arrival numbers of a history are there in all rows or in none.

    Raises:
        InvalidHistory: they are null in some rows alone, so that the order of these rows is unknown.
    """
    if 0 < nulls < rows:
        raise InvalidHistory(f"arrival: null in {nulls:,} of {rows:,} rows; it must be set in all or in none")
