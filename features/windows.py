"""From the bytes that the online store returned to integer aggregates, a whole micro-batch at a time."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.definitions import (
    CUSTOMER_WINDOWS,
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

TOO_OLD: Final = len(CUSTOMER_WINDOWS) + 1
_EDGES_MS: Final = np.array([0, *(window.duration_ms for window in CUSTOMER_WINDOWS)])
_DEVICE: Final = [CUSTOMER_WINDOWS.index(window) for window in DEVICE_WINDOWS]


@dataclass(frozen=True, slots=True)
class Logs:
    """The events of k logs laid end to end, and which windows of their transaction each of them lies in.

    Attributes:
        events: (m,) records of dtype ``EVENT``, each log in order of arrival.
        row: (m,) the log that each event belongs to.
        age: (m,) the shortest window that holds the event, by its number from 1 on; 0: the event does not come
            before the transaction in event time; ``TOO_OLD``: no window holds it, or it does not count.
        filled, starts: the logs that have any events, and the first event of each of these.
        rows: k.
    """

    events: Records
    row: Int64s
    age: Int64s
    filled: Int64s
    starts: Int64s
    rows: int

    @classmethod
    def of(cls, logs: list[bytes], event_time_ms: Int64s, hashes: npt.NDArray[np.uint64]) -> "Logs":
        """Return k logs, each as its transaction sees it, with the bounds of the log applied.

        Args:
            logs: packed ``EVENT`` records, in order of arrival.
            event_time_ms, hashes: (k,) of the transaction that each log was read for.
        """
        events = np.frombuffer(b"".join(logs), EVENT)
        lengths = np.array([len(log) // EVENT.itemsize for log in logs])
        rows = len(logs)
        row = np.repeat(np.arange(rows), lengths)
        ends = lengths.cumsum()
        filled = lengths.nonzero()[0]
        starts = (ends - lengths)[filled]
        times = events["event_time_ms"]
        age = _EDGES_MS.searchsorted(event_time_ms[row] - times)  # age <= length: the tail [t - w is inside.
        itself = (events["hash"] == hashes[row]).nonzero()[0]
        if len(events):
            # Seldom is anything out of bounds, and of few rows it is the calls of NumPy that cost.
            remembered = np.ones(len(events), np.bool_)
            if len(itself) or lengths.max() > LOG_EVENTS:
                remembered = _arrived_before(row, ends, itself)
                age[~remembered] = TOO_OLD
            if times.max() - times.min() > LOG_RETENTION_MS:
                newest = np.zeros(rows, np.int64)
                newest[filled] = np.maximum.reduceat(np.where(remembered, times, 0), starts)
                age[times < newest[row] - LOG_RETENTION_MS] = TOO_OLD
        return cls(events, row, age, filled, starts, rows)

    def first(self, rows: int) -> "Logs":
        """Return the first logs alone."""
        filled = int(self.filled.searchsorted(rows))
        end = int(self.row.searchsorted(rows))
        return Logs(
            self.events[:end], self.row[:end], self.age[:end], self.filled[:filled], self.starts[:filled], rows
        )


def _arrived_before(row: Int64s, ends: Int64s, itself: Int64s) -> Bools:
    # A retry finds itself in the log: its past ends where it stands. The cap counts back from there.
    position = np.arange(len(row))
    end = ends.copy()
    np.minimum.at(end, row[itself], itself)
    end_of_event = end[row]
    return (position < end_of_event) & (position >= end_of_event - LOG_EVENTS)


def window_sums(logs: Logs) -> Int64s:
    """Return counts and amounts (2, k, windows) of the events in each of ``CUSTOMER_WINDOWS``.

    The windows are nested: each event falls into the bucket of the shortest window that holds it, and a
    running sum over the buckets gives every window at once.
    """
    buckets = TOO_OLD + 1
    cell = logs.row * buckets + logs.age
    cells = logs.rows * buckets
    table = np.empty((2, cells))
    table[0] = np.bincount(cell, minlength=cells)
    # Exact: a log's amounts sum to less than 2 ** 53 (MAX_AMOUNT x LOG_EVENTS).
    table[1] = np.bincount(cell, logs.events["amount_minor"], cells)
    sums: Int64s = table.reshape(2, -1, buckets)[:, :, 1:TOO_OLD].cumsum(axis=2).astype(np.int64)
    return sums


def previous_aggregates(logs: Logs) -> dict[str, Int64s]:
    """Return the time of each log's latest event, and time and place of the latest one with a place."""
    previous = np.full((2, logs.rows), NO_TIME, np.int64)
    lat, long = np.zeros((2, logs.rows), np.int64)
    if len(logs.events):
        placed = logs.events["lat_udeg"] != NO_PLACE
        times = np.where((logs.age > 0) & (logs.age < TOO_OLD), logs.events["event_time_ms"], NO_TIME)
        times = np.array([times, np.where(placed, times, NO_TIME)])
        previous[:, logs.filled] = np.maximum.reduceat(times, logs.starts, axis=1)
        known = previous[1] != NO_TIME
        # Of events at one time, the last that arrived.
        at_latest = (times[1] == previous[1][logs.row]).nonzero()[0]
        index = np.zeros(logs.rows, np.int64)
        index[logs.row[at_latest]] = at_latest
        lat[known] = logs.events["lat_udeg"][index[known]]
        long[known] = logs.events["long_udeg"][index[known]]
    return {
        "customer_previous_time_ms": previous[0],
        "customer_previous_place_time_ms": previous[1],
        "customer_previous_lat_udeg": lat,
        "customer_previous_long_udeg": long,
    }


def aggregates(reply: list[bytes], event_time_ms: Int64s, hashes: npt.NDArray[np.uint64]) -> dict[str, Int64s]:
    """Return all aggregates of a micro-batch, each (n,) int64.

    Args:
        reply: what ``online.lua`` returned: customer log, device log and merchant key of each transaction.
        event_time_ms, hashes: (n,) of the transactions themselves.
    """
    n = len(event_time_ms)
    # The customers' logs, then the devices': what is called once costs half.
    logs = Logs.of(
        [*reply[0::3], *reply[1::3]],
        np.concatenate((event_time_ms, event_time_ms)),
        np.concatenate((hashes, hashes)),
    )
    sums = window_sums(logs)
    return {
        **_columns("customer", CUSTOMER_WINDOWS, sums[:, :n]),
        **previous_aggregates(logs.first(n)),
        **_columns("device", DEVICE_WINDOWS, sums[:, n:, _DEVICE]),
        **merchant_aggregates(reply[2::3], event_time_ms, hashes),
    }


def _columns(entity: str, windows: tuple[Window, ...], sums: Int64s) -> dict[str, Int64s]:
    """Return counts and amounts (2, n, windows) under the names of their columns."""
    columns = sums.swapaxes(1, 2).reshape(-1, sums.shape[1])
    return dict(zip(log_columns(entity, windows), columns, strict=True))
