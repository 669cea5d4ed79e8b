"""History folders for the tests of backfill and replay."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from tests.parity.histories import MONDAY, history_table
from tests.parity.oracle import DAY, HOUR, Event
from training.history_files import split_by_day, writing_history


def write_history(folder: Path, table: pa.Table) -> Path:
    """Write a history table, in any order, as a history folder, and return the folder."""
    with writing_history(folder, overwrite=False) as writer:
        for day, rows in split_by_day(table.sort_by("event_time")):
            writer.write_day(day, rows)
    return folder


def with_recorded_labels(events: Sequence[Event], seed: int = 3) -> list[Event]:
    """Return the events, of which two in three say when labels became known: early, late, corrected, none."""
    rng = np.random.default_rng(seed)

    def labelled(event: Event) -> Event:
        if rng.random() < 0.33:
            return event
        known = np.sort(event.time + rng.integers(0, 25 * DAY, rng.integers(3)))
        return replace(event, labels=tuple((int(when), bool(rng.random() < 0.6)) for when in known))

    return [labelled(event) for event in events]


def two_months(rows: int = 1500, seed: int = 1) -> list[Event]:
    """Return payments of 61 days in order of time: few entities, ties in time, some frauds, some parts absent."""
    rng = np.random.default_rng(seed)
    minutes = np.sort(rng.integers(0, 61 * 24 * 60 // 5, rows)) * 5
    return [
        Event(
            id=f"t{i}",
            time=MONDAY + int(minute) * 60_000,
            amount=int(rng.integers(1, 100_000)),
            customer=f"c{rng.integers(12)}",
            merchant=None if rng.random() < 0.1 else f"m{rng.integers(5)}",
            device=None if rng.random() < 0.3 else f"d{rng.integers(8)}",
            place=None if rng.random() < 0.4 else (int(rng.integers(-80, 80)) * 1_000_003, 7_654_321),
            fraud=bool(rng.random() < 0.08),
        )
        for i, minute in enumerate(minutes)
    ]


def out_of_order(events: Sequence[Event], late_share: float = 0.1, seed: int = 2) -> pa.Table:
    """Return events as a history table of which a share of the rows arrived up to nine days late."""
    rng = np.random.default_rng(seed)
    delay = np.where(rng.random(len(events)) < late_share, rng.integers(0, 9 * DAY, len(events)), 0)
    arrival = np.argsort(np.argsort([e.time for e in events] + delay, kind="stable"), kind="stable")
    return history_table(events, arrival.tolist())


def day(number: int, hours: float = 0) -> datetime:
    """Return a moment by days and hours since the first day of these histories."""
    return datetime.fromtimestamp((MONDAY + number * DAY + hours * HOUR) / 1000, UTC)
