"""Aggregates of entities whose events did not arrive in the order of their event time: exact, and slower.

The evaluators here take the definition word by word: which events arrived before, which of them are still
remembered, which of those lie in the window.
"""

from itertools import pairwise
from typing import Final

import numpy as np

from features.definitions import (
    D30,
    DAY_MS,
    DAY_QUARTER_MS,
    DAY_QUARTERS,
    LABEL_DELAY_MS,
    LOG_EVENTS,
    LOG_RETENTION_MS,
    NO_TIME,
    RECENT_EVENTS,
    RISK_WINDOWS,
    VELOCITY_LEVELS,
    Window,
)
from features.entity_events import REACH_MS, EntityEvents, banded_key, cumulative
from features.transaction import NO_PLACE, Int64s

_BLOCK_ROWS: Final = 64
"""Rows that are compared with the log at once: with LOG_EVENTS, a mask of 266 kB."""


def late_log_columns(entity: str, windows: tuple[Window, ...], events: EntityEvents) -> dict[str, Int64s]:
    """Return the aggregates of event logs, each (m,) int64; arguments as in ``features.offline``."""
    names = [f"{entity}_{what}_{w.name}" for what in ("count", "amount") for w in windows]
    if "lat" in events.values:
        previous = ("time_ms", "place_time_ms", "lat_udeg", "long_udeg")
        names += [f"{entity}_previous_{what}" for what in previous]
    columns = {name: np.zeros(len(events), np.int64) for name in names}
    edges: list[int] = np.flatnonzero(np.diff(events.entity, prepend=-1, append=-1)).tolist()
    for start, stop in pairwise(edges):
        for begin in range(start, stop, _BLOCK_ROWS):
            end = min(begin + _BLOCK_ROWS, stop)
            block = _log_block(windows, events, max(start, begin - LOG_EVENTS), begin, end)
            for column, values in zip(columns.values(), block, strict=True):
                column[begin:end] = values
    return columns


def _log_block(
    windows: tuple[Window, ...], events: EntityEvents, oldest: int, begin: int, end: int
) -> list[Int64s]:
    """Return the columns of rows ``[begin, end)``, of one entity, from its events ``[oldest, end)``."""
    log = slice(oldest, end)
    time, amount = events.values["time"][log], events.values["amount"][log]
    time_x, age = time[begin - oldest :, None], np.arange(begin, end)[:, None] - np.arange(oldest, end)
    recent = (age > 0) & (age <= LOG_EVENTS)
    newest = np.where(recent, time, NO_TIME).max(1, keepdims=True)
    visible = recent & (time >= newest - LOG_RETENTION_MS) & (time < time_x)
    inside = [visible & (time >= time_x - window.duration_ms) for window in windows]
    columns = [*(i.sum(1) for i in inside), *(i @ amount for i in inside)]
    if "lat" not in events.values:
        return columns
    lat, long = events.values["lat"][log], events.values["long"][log]
    month = visible & (time >= time_x - D30.duration_ms)
    place_time = np.where(month & (lat != NO_PLACE), time, NO_TIME)
    # The last of the greatest: argmax finds the first one, so it looks from the end.
    place = len(time) - 1 - place_time[:, ::-1].argmax(1)
    known = place_time.max(1) != NO_TIME
    return [
        *columns,
        np.where(month, time, NO_TIME).max(1),
        place_time.max(1),
        np.where(known, lat[place], 0),
        np.where(known, long[place], 0),
    ]


def late_merchant_columns(events: EntityEvents) -> dict[str, Int64s]:
    """Return the aggregates of merchants, each (m,) int64; ``values`` as in ``features.offline``."""
    columns: dict[str, Int64s] = {}
    for level in VELOCITY_LEVELS:
        tiles = _Tiles(events, level.tile_ms)
        oldest = tiles.of(_newest_before(events)) - level.tiles + 1
        count, amount = _ahead(events, tiles, oldest)
        for back in range(level.window.duration_ms // level.tile_ms + 1):
            begin, end = tiles.arrived(tiles.tile - back, oldest)
            count += end - begin
            amount += tiles.total["amount"][end] - tiles.total["amount"][begin]
        columns[f"merchant_count_{level.window.name}"] = count
        columns[f"merchant_amount_{level.window.name}"] = amount
    return columns | _delayed_columns(events, tiles, oldest)


def _ahead(events: EntityEvents, tiles: "_Tiles", oldest: Int64s) -> tuple[Int64s, Int64s]:
    """Return, as negative numbers, count and amount of the recent arrivals not before this event's time."""
    time, amount, position = events.values["time"], events.values["amount"], np.arange(len(events))
    count_ahead, amount_ahead = np.zeros_like(time), np.zeros_like(time)
    for back in range(1, min(RECENT_EVENTS, len(events) - 1) + 1):
        other = np.maximum(position - back, 0)
        ahead = (position >= back) & (events.entity[other] == events.entity) & (time[other] >= time)
        counted = ahead & (oldest <= tiles.tile[other]) & (tiles.tile[other] <= tiles.tile)
        count_ahead -= counted
        amount_ahead -= np.where(counted, amount[other], 0)
    return count_ahead, amount_ahead


def _delayed_columns(events: EntityEvents, days: "_Tiles", oldest: Int64s) -> dict[str, Int64s]:
    """Return the label-delayed aggregates; ``oldest`` (m,) is the first day whose counts are kept.

    A window is as many whole days before the day of its head as it is long, and what that day holds before the
    head's quarter, without what its first day holds before the same quarter.
    """
    quarters = _Tiles(events, DAY_QUARTER_MS)
    head = quarters.of(events.values["time"] - LABEL_DELAY_MS)
    day, quarter = head // DAY_QUARTERS, head % DAY_QUARTERS
    counts, frauds = {}, {}
    windows = {window.duration_ms // DAY_MS: window.name for window in RISK_WINDOWS}
    running = _before(quarters, day, quarter, oldest)
    for back in range(1, max(windows) + 1):
        running += _arrived(days, day - back, oldest)
        if back in windows:
            inside = running - _before(quarters, day - back, quarter, oldest)
            counts[f"merchant_delayed_count_{windows[back]}"] = inside[0]
            frauds[f"merchant_delayed_frauds_{windows[back]}"] = inside[1]
    return counts | frauds


def _before(quarters: "_Tiles", day: Int64s, quarter: Int64s, oldest: Int64s) -> Int64s:
    """Return the counts and frauds (2, m) of each event's ``day`` before its ``quarter`` of it."""
    total = np.zeros((2, len(day)), np.int64)
    for back in range(DAY_QUARTERS - 1):
        total += (back < quarter) * _arrived(quarters, day * DAY_QUARTERS + back, oldest * DAY_QUARTERS)
    return total


def _arrived(tiles: "_Tiles", tile: Int64s, oldest: Int64s) -> Int64s:
    """Return the counts and frauds (2, m) of a tile of each event."""
    begin, end = tiles.arrived(tile)
    # The frauds have tiles of their own, which late events do not outrun.
    return np.stack(
        [np.where(tile >= oldest, end - begin, 0), tiles.total["fraud"][end] - tiles.total["fraud"][begin]]
    )


def _newest_before(events: EntityEvents) -> Int64s:
    """Return the greatest event time (m,) among the entity's earlier arrivals; any time for the first."""
    key = events.time_key()
    newest = np.maximum.accumulate(key)
    return np.concatenate([newest[:1], newest[:-1]]) - key + events.values["time"]


class _Tiles:
    """Events by entity and tile, and within a tile in order of arrival."""

    def __init__(self, events: EntityEvents, tile_ms: int) -> None:
        self.tile_ms = tile_ms
        self.tile = self.of(events.values["time"])
        self._first_tile = int(self.tile.min(initial=0)) - REACH_MS // tile_ms - 1
        self._width = int(self.tile.max(initial=0)) - self._first_tile + 1
        self._entity = events.entity
        cell = self._cell(self.tile)
        order = np.argsort(cell, kind="stable")
        self._cells, self._begin, slot = np.unique(cell[order], return_index=True, return_inverse=True)
        self._keys = slot * len(events) + order
        self.total = {name: cumulative(values[order]) for name, values in events.values.items()}

    def of(self, time_ms: Int64s) -> Int64s:
        """Return the tile index (m,) of each time."""
        return time_ms // self.tile_ms

    def arrived(self, tile: Int64s, oldest: Int64s | None = None) -> tuple[Int64s, Int64s]:
        """Return ranges ``[begin, end)`` (m,) of ``total``: each entity's earlier arrivals in a tile.

        Args:
            tile: (m,) a tile for each event.
            oldest: (m,) tiles before it are empty; None: all are kept.
        """
        cell, position = self._cell(tile), np.arange(len(tile))
        slot = np.minimum(np.searchsorted(self._cells, cell), len(self._cells) - 1)
        begin = self._begin[slot]
        kept = self._cells[slot] == cell
        if oldest is not None:
            kept &= tile >= oldest
        end = np.searchsorted(self._keys, slot * len(position) + position)
        return begin, np.where(kept, end, begin)

    def _cell(self, tile: Int64s) -> Int64s:
        return banded_key(self._entity, tile - self._first_tile, self._width)
