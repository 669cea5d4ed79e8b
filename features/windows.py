"""From the bytes that the online store returned to integer aggregates, a whole micro-batch at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.definitions import (
    CUSTOMER_WINDOWS,
    D30,
    DEVICE_WINDOWS,
    LOG_EVENTS,
    LOG_RETENTION_MS,
    NO_TIME,
    Window,
    log_columns,
)
from features.layout import EVENT
from features.merchants import merchant_aggregates
from features.transaction import NO_PLACE, Int64s

Bools = npt.NDArray[np.bool_]
Records = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Visible:
    """The events of n logs laid end to end, and which of them count for their transaction.

    Attributes:
        events: (m,) records of dtype ``EVENT``, each log in order of arrival.
        row: (m,) the transaction that each event's log belongs to.
        age_ms: (m,) event time of the transaction minus that of the event.
        counts: (m,) True where the event may count: arrived before the transaction, within the log's bounds,
            and strictly earlier in event time.
        starts, filled: the first event of each log that has any, and the transactions of those logs.
        rows: n.
    """

    events: Records
    row: Int64s
    age_ms: Int64s
    counts: Bools
    starts: Int64s
    filled: Int64s
    rows: int


def visible_events(logs: list[bytes], event_time_ms: Int64s, hashes: npt.NDArray[np.uint64]) -> Visible:
    """Return the events of the logs of n transactions, with the bounds of the log applied.

    Args:
        logs: n logs of packed ``EVENT`` records, in order of arrival.
        event_time_ms, hashes: (n,) of the transactions themselves.
    """
    events = np.frombuffer(b"".join(logs), EVENT)
    lengths = np.fromiter(map(len, logs), np.int64, len(logs)) // EVENT.itemsize
    rows = len(lengths)
    row = np.repeat(np.arange(rows), lengths)
    filled = np.flatnonzero(lengths)
    ends = np.cumsum(lengths)
    starts = (ends - lengths)[filled]
    times = events["event_time_ms"]
    age_ms = event_time_ms[row] - times
    counts = age_ms > 0
    if len(events):
        remembered = _arrived_before(events, row, ends, hashes)
        newest = np.zeros(rows, np.int64)
        newest[filled] = np.maximum.reduceat(np.where(remembered, times, 0), starts)
        counts &= remembered & (times >= newest[row] - LOG_RETENTION_MS)
    return Visible(events, row, age_ms, counts, starts, filled, rows)


def _arrived_before(events: Records, row: Int64s, ends: Int64s, hashes: npt.NDArray[np.uint64]) -> Bools:
    # A retry finds itself in the log: its past ends where it stands. The cap counts back from there.
    position = np.arange(len(events))
    end = ends.copy()
    itself = np.flatnonzero(events["hash"] == hashes[row])
    np.minimum.at(end, row[itself], itself)
    end_of_event = end[row]
    return (position < end_of_event) & (position >= end_of_event - LOG_EVENTS)


def log_aggregates(entity: str, windows: tuple[Window, ...], visible: Visible) -> dict[str, Int64s]:
    """Return the counts and amounts of each window, each (n,) int64, under their column names.

    The windows are nested: each event falls into the bucket of the shortest window that holds it, and a
    running sum over the buckets gives every window at once.
    """
    table = np.zeros((2, visible.rows, len(windows)))
    lengths_ms = np.array([window.duration_ms for window in windows])
    bucket = np.searchsorted(lengths_ms, visible.age_ms)  # age <= length: the tail [t - w is inside.
    inside = np.flatnonzero(visible.counts & (bucket < len(windows)))
    if len(inside):
        cell = visible.row[inside] * len(windows) + bucket[inside]
        cells = visible.rows * len(windows)
        table[0] = np.bincount(cell, minlength=cells).reshape(-1, len(windows))
        # Exact: a log's amounts sum to less than 2 ** 53 (MAX_AMOUNT x LOG_EVENTS).
        table[1] = np.bincount(cell, visible.events["amount_minor"][inside], cells).reshape(-1, len(windows))
    running = np.cumsum(table, axis=2).astype(np.int64)
    return dict(zip(log_columns(entity, windows), running.swapaxes(1, 2).reshape(-1, visible.rows), strict=True))


def previous_aggregates(visible: Visible) -> dict[str, Int64s]:
    """Return the time of the customer's previous event, and time and place of the previous one with a place."""
    recent = visible.counts & (visible.age_ms <= D30.duration_ms)
    previous_ms, _ = _latest(visible, recent)
    placed = recent & (visible.events["lat_udeg"] != NO_PLACE)
    place_ms, index = _latest(visible, placed)
    lat, long = np.zeros((2, visible.rows), np.int64)
    known = index >= 0
    lat[known] = visible.events["lat_udeg"][index[known]]
    long[known] = visible.events["long_udeg"][index[known]]
    return {
        "customer_previous_time_ms": previous_ms,
        "customer_previous_place_time_ms": place_ms,
        "customer_previous_lat_udeg": lat,
        "customer_previous_long_udeg": long,
    }


def _latest(visible: Visible, chosen: Bools) -> tuple[Int64s, Int64s]:
    """Return event time (or ``NO_TIME``) and index (or -1) of the latest chosen event; of ties, the last."""
    latest_ms = np.full(visible.rows, NO_TIME, np.int64)
    index = np.full(visible.rows, -1, np.int64)
    if len(visible.events):
        times = np.where(chosen, visible.events["event_time_ms"], NO_TIME)
        latest_ms[visible.filled] = np.maximum.reduceat(times, visible.starts)
        at_latest = chosen & (times == latest_ms[visible.row])
        positions = np.where(at_latest, np.arange(len(times)), -1)
        index[visible.filled] = np.maximum.reduceat(positions, visible.starts)
    return latest_ms, index


def aggregates(reply: list[bytes], event_time_ms: Int64s, hashes: npt.NDArray[np.uint64]) -> dict[str, Int64s]:
    """Return all aggregates of a micro-batch, each (n,) int64.

    Args:
        reply: what ``online.lua`` returned: customer log, device log and merchant key of each transaction.
        event_time_ms, hashes: (n,) of the transactions themselves.
    """
    customers = visible_events(reply[0::3], event_time_ms, hashes)
    devices = visible_events(reply[1::3], event_time_ms, hashes)
    return {
        **log_aggregates("customer", CUSTOMER_WINDOWS, customers),
        **previous_aggregates(customers),
        **log_aggregates("device", DEVICE_WINDOWS, devices),
        **merchant_aggregates(reply[2::3], event_time_ms, hashes),
    }
