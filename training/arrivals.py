"""A history as the scorer met it: its rows in order of arrival, read from any place to any other."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]

from features.definitions import DAY_MS, FRAUD_LEVEL, LOG_RETENTION_MS, VELOCITY_LEVELS
from features.errors import InvalidHistory
from features.history import HISTORY_SCHEMA
from features.offline import check_arrival
from features.transaction import Int64s, event_time_ms
from training.history_files import day_of, read_history

STORE_REACH_MS: Final = max(
    LOG_RETENTION_MS, *(level.tiles * level.tile_ms for level in (*VELOCITY_LEVELS, FRAUD_LEVEL))
)
"""The online store holds nothing that is older than this (48 days) before its newest event."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """The rows of a history by position in order of arrival, 0 for the first.

    Attributes:
        event_time_ms: (n,) in order of arrival.
        row: (n,) where the row lies in the history's files.
        source: the history.
    """

    event_time_ms: Int64s
    row: Int64s
    source: ds.Dataset

    @classmethod
    def of(cls, history: Path) -> Self:
        """Return the arrivals of a history folder; reads two columns of it.

        Raises:
            InvalidHistory: as :func:`training.history_files.read_history`; there are no rows; or ``arrival`` is
                null in some rows only.
        """
        source = read_history(history)
        table = source.to_table(columns=["event_time", "arrival"])
        if not len(table):
            raise InvalidHistory(f"{history} holds no transactions")
        time: Int64s = table.column("event_time").cast(pa.int64()).to_numpy()
        arrival = table.column("arrival")
        check_arrival(arrival.null_count, len(arrival))
        order = np.argsort(time if arrival.null_count else arrival.to_numpy(), kind="stable")
        return cls(time[order], order, source)

    def __len__(self) -> int:
        return len(self.row)

    @property
    def end(self) -> datetime:
        """The moment after the latest event."""
        return moment(int(self.event_time_ms.max()) + 1)

    def first_at(self, time: datetime) -> int:
        """Return the position of the first arrival whose event time is not before ``time``; n when none is.

        What arrives late, after that position, belongs to what follows, as it did in the scorer's life.
        """
        reached = self.event_time_ms >= milliseconds(time)
        return int(reached.argmax()) if reached.any() else len(self)

    def first_that_counts(self, until: datetime) -> int:
        """Return the position before which no row can matter to a store that stands at ``until``."""
        return self.first_at(moment(milliseconds(until) - STORE_REACH_MS))

    def rows(self, start: int, stop: int) -> pa.Table:
        """Return the rows at the positions ``[start, stop)``, in order of arrival, as ``HISTORY_SCHEMA``."""
        if start >= stop:
            return HISTORY_SCHEMA.empty_table()
        times = self.event_time_ms[start:stop]
        first, last = (day_of(int(time) // DAY_MS).isoformat() for time in (times.min(), times.max()))
        day = ds.field("day")
        before = self.source.count_rows(filter=day < first)
        table = self.source.to_table(columns=HISTORY_SCHEMA.names, filter=(day >= first) & (day <= last))
        return table.take(self.row[start:stop] - before).cast(HISTORY_SCHEMA)


def milliseconds(time: datetime) -> int:
    """Return a time in milliseconds since the epoch; without a time zone it is UTC."""
    return event_time_ms(time)


def moment(time_ms: int) -> datetime:
    """Return the UTC time of milliseconds since the epoch.

    >>> moment(1500)
    datetime.datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromtimestamp(time_ms // 1000, UTC).replace(microsecond=time_ms % 1000 * 1000)
