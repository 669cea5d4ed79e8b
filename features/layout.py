"""How the online store lays an entity out in bytes: the one place that numpy and Lua both read it from."""

from typing import Final

import numpy as np

from features.definitions import (
    DAY_MS,
    DAY_QUARTER_MS,
    DAY_QUARTERS,
    FRAUD_LEVEL,
    LOG_EVENTS,
    LOG_RETENTION_MS,
    RECENT_EVENTS,
    VELOCITY_LEVELS,
    TileLevel,
)

EVENT: Final = np.dtype(
    [
        ("event_time_ms", "<i8"),
        ("amount_minor", "<i8"),
        ("hash", "<u8"),
        ("lat_udeg", "<i4"),
        ("long_udeg", "<i4"),
    ]
)
"""One event of a customer's or a device's log: 32 bytes, in order of arrival."""

RECENT: Final = np.dtype([("event_time_ms", "<i8"), ("amount_minor", "<i8"), ("hash", "<u8")])
"""One arrival of a merchant that no tile holds yet: the first 24 bytes of an event."""

TAIL_EVENTS: Final = RECENT_EVENTS + 12
"""Arrivals of a merchant at which all but the newest ``RECENT_EVENTS`` go into the tiles, so that a payment
appends 24 bytes and touches no tile. Twelve at a time: past 4,096 bytes the server would double a key's memory."""

FRAUD_TILE: Final = np.dtype([("tile", "<u4"), ("count", "<u2"), ("before", "<u2", (DAY_QUARTERS - 1,))])
"""One tile of a merchant's frauds: its day, how many transactions of it are labelled fraud, and how many of these
lie before its second, third and fourth quarter. 12 bytes; a count stays at 65,535."""

CHANGE: Final = np.dtype([("known_ms", "<i8"), ("quarter", "<u4"), ("change", "<i4")])
"""One change of a merchant's frauds: when its label became known, the quarter of a day in which the transaction
lies (event time // ``DAY_QUARTER_MS``), +1 or -1. 16 bytes."""

RECENT_CHANGES: Final = 24
"""Newest changes of its frauds that a merchant remembers one by one."""

LABEL: Final = np.dtype([("event_time_ms", "<i8"), ("known_ms", "<i8"), ("is_fraud", "u1")])
"""One label on its way to the store: 17 bytes."""

LABEL_BYTES: Final = 13
"""A label key holds known_at (8), quarter of a day (4) and verdict (1) in these bytes, then the merchant's key."""

LAYOUT_VERSION: Final = 4
"""Part of every key: raise it when what a key holds changes."""

TILE: Final = np.dtype([("tile", "<u4"), ("count", "<u4"), ("amount_minor", "<i8")])
"""One tile of a merchant: its index (event time // tile size), and what fell into it. 16 bytes."""

DAY_TILE: Final = np.dtype([*TILE.descr, ("before", "<u4", (DAY_QUARTERS - 1,))])
"""A tile of a day, and how many of its count lie before its second, third and fourth quarter. 28 bytes."""


def _tile(level: TileLevel) -> "np.dtype[np.void]":
    return DAY_TILE if level.tile_ms == DAY_MS else TILE


TILES: Final = np.dtype(
    [
        *((level.name, _tile(level), (level.tiles,)) for level in VELOCITY_LEVELS),
        (FRAUD_LEVEL.name, FRAUD_TILE, (FRAUD_LEVEL.tiles,)),
        ("changes", "<i8"),
        ("recent_changes", CHANGE, (RECENT_CHANGES,)),
    ]
)
"""What a merchant remembers in sum, however busy: rings of tiles a level, of changes of its frauds. 3,016 bytes.

A merchant's key holds its tiles, then its tail: fewer than ``TAIL_EVENTS`` arrivals of dtype ``RECENT``, the
oldest first. A merchant that has nothing in its tiles is a tail alone, always shorter than any tiles."""
MERCHANT: Final = np.dtype([("tiles", TILES), ("tail", RECENT, (TAIL_EVENTS - 1,))])
"""What a merchant's key holds at most. 4,048 bytes."""
assert TAIL_EVENTS * RECENT.itemsize < TILES.itemsize < 4096 - TAIL_EVENTS * RECENT.itemsize

LOG_TTL_S: Final = (LOG_RETENTION_MS + 2 * DAY_MS) // 1000
"""Life of a silent log, in seconds: when it ends, all its events are past retention (a day for the refresh
interval, a day for clocks that run ahead)."""
MERCHANT_TTL_S: Final = (FRAUD_LEVEL.tiles + 2) * DAY_MS // 1000
"""Life of a silent merchant, in seconds: all its tiles, and the same two days."""
CLAIM_TTL_S: Final = DAY_MS // 1000
"""Life of a claim on a transaction_id, in seconds. It begins anew when the decision is recorded."""


def _offset(name: str) -> int:
    fields = TILES.fields
    assert fields is not None
    return fields[name][1]


def _level(level: TileLevel) -> str:
    return (
        f"{{at = {_offset(level.name)}, tile_ms = {level.tile_ms}, tiles = {level.tiles}, "
        f"bytes = {TILES[level.name].base.itemsize}}}"
    )


def lua_prelude() -> str:
    """Return the Lua lines that give the scripts these constants."""
    constants = {
        "RECORD_BYTES": EVENT.itemsize,
        "HASH_AT": 17,  # Lua counts from 1.
        "DAY_MS": DAY_MS,
        "DAY_QUARTER_MS": DAY_QUARTER_MS,
        "DAY_QUARTERS": DAY_QUARTERS,
        "LOG_BYTES": LOG_EVENTS * EVENT.itemsize,
        "LOG_RETENTION_MS": LOG_RETENTION_MS,
        "LOG_TTL_S": LOG_TTL_S,
        "MERCHANT_TTL_S": MERCHANT_TTL_S,
        "CLAIM_TTL_S": CLAIM_TTL_S,
        "RECENT_EVENTS": RECENT_EVENTS,
        "RECENT_BYTES": RECENT.itemsize,
        "TAIL_EVENTS": TAIL_EVENTS,
        "TILES_BYTES": TILES.itemsize,
        "CHANGES_AT": _offset("changes"),
        "CHANGE_BYTES": CHANGE.itemsize,
        "RECENT_CHANGES": RECENT_CHANGES,
        "LABEL_BYTES": LABEL_BYTES,
        "FRAUD_LEVEL": _level(FRAUD_LEVEL),
        "VELOCITY_LEVELS": "{" + ", ".join(_level(level) for level in VELOCITY_LEVELS) + "}",
        "EMPTY_TILES": rf"string.rep('\0', {TILES.itemsize})",
    }
    return "".join(f"local {name} = {value}\n" for name, value in constants.items())
