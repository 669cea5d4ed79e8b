"""From the bytes of merchants' keys to velocity and label-delayed risk, a whole micro-batch at a time."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.definitions import VELOCITY_LEVELS
from features.delayed_windows import delayed_aggregates
from features.layout import MERCHANT, TILES
from features.merchant_tail import Tail
from features.transaction import Int64s

Records = npt.NDArray[Any]

_NO_TILES: Final = bytes(TILES.itemsize)
_TAIL_BYTES: Final = MERCHANT.itemsize - TILES.itemsize
_ZEROS: Final = bytes(_TAIL_BYTES)
_TILE_MS, _WINDOW_MS, _TILES = np.array(
    [(level.tile_ms, level.window.duration_ms, level.tiles) for level in VELOCITY_LEVELS]
).T[:, :, None]
"""Of each level (levels, 1)."""


def merchant_aggregates(
    states: list[bytes], event_time_ms: Int64s, hashes: npt.NDArray[np.uint64]
) -> dict[str, Int64s]:
    """Return velocity and label-delayed risk of n merchants, each (n,) int64, under their column names.

    Args:
        states: what n merchants' keys hold (:data:`features.layout.TILES` and a tail), or b"" for no history.
        event_time_ms, hashes: (n,) of the transactions themselves.
    """
    parts: list[bytes] = []
    for state in states:
        if len(state) < TILES.itemsize:
            parts += (_NO_TILES, state, _ZEROS[: _TAIL_BYTES - len(state)])
        else:
            parts += (state, _ZEROS[: MERCHANT.itemsize - len(state)])
    merchants = np.frombuffer(b"".join(parts), MERCHANT)
    tiles, tail = merchants["tiles"], Tail.of(merchants["tail"], event_time_ms, hashes)
    counts, amounts = _velocity(tiles, tail, event_time_ms)
    return {
        **{f"merchant_count_{level.window.name}": counts[i] for i, level in enumerate(VELOCITY_LEVELS)},
        **{f"merchant_amount_{level.window.name}": amounts[i] for i, level in enumerate(VELOCITY_LEVELS)},
        **delayed_aggregates(tiles, tail, event_time_ms),
    }


def _velocity(tiles: Records, tail: Tail, event_time_ms: Int64s) -> tuple[Int64s, Int64s]:
    """Return the counts and amounts (levels, n) of the windows of the levels, each snapped down to a tile."""
    last = event_time_ms // _TILE_MS
    newest = tail.newest_ms // _TILE_MS
    for i, level in enumerate(VELOCITY_LEVELS):
        np.maximum(newest[i], tiles[level.name]["tile"].max(axis=1), out=newest[i])
    begin = np.maximum((event_time_ms - _WINDOW_MS) // _TILE_MS, newest - _TILES + 1)
    begin_ms, end_ms = begin * _TILE_MS, (last + 1) * _TILE_MS
    arrived = tail.counts & (tail.time_ms >= begin_ms[:, :, None]) & (tail.time_ms < end_ms[:, :, None])
    counts = arrived.sum(axis=2)
    amounts = np.einsum("lnk,nk->ln", arrived, tail.amount_minor)
    for i, level in enumerate(VELOCITY_LEVELS):
        ring = tiles[level.name]
        held = (ring["tile"] >= begin[i][:, None]) & (ring["tile"] <= last[i][:, None])
        counts[i] += np.einsum("nt,nt->n", held, ring["count"], dtype=np.int64)
        amounts[i] += np.einsum("nt,nt->n", held, ring["amount_minor"])
    return counts, amounts
