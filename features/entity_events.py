"""The events of a history grouped by entity, in order of arrival."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from features.definitions import D30, DAY_MS, LABEL_DELAY_MS
from features.errors import InvalidHistory
from features.transaction import Int64s

REACH_MS: Final = LABEL_DELAY_MS + D30.duration_ms + DAY_MS
"""No window begins longer than this before its transaction: the longest one, delayed, snapped to a day."""


@dataclass(frozen=True, slots=True, eq=False)
class EntityEvents:
    """Events of many entities: one entity after the other, each in order of arrival.

    Attributes:
        row: (m,) the event's row in the history.
        entity: (m,) the event's entity, ascending.
        values: columns (m,) of the events; ``time`` is always there, in milliseconds.
    """

    row: Int64s
    entity: Int64s
    values: dict[str, Int64s]

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def of(cls, codes: Int64s, values: dict[str, Int64s], arrival: Int64s | None) -> "EntityEvents":
        """Return the events of the rows (n,) whose code is not negative.

        Args:
            codes: the entity of each row.
            values: columns (n,).
            arrival: sequence numbers (n,); None: by event time. Ties are in row order.
        """
        order = np.lexsort((values["time"] if arrival is None else arrival, codes))
        order = order[np.searchsorted(codes[order], 0) :]
        return cls(order, codes[order], {name: column[order] for name, column in values.items()})

    def take(self, chosen: npt.NDArray[np.bool_]) -> "EntityEvents":
        """Return the chosen (m,) events."""
        if chosen.all():
            return self
        values = {name: column[chosen] for name, column in self.values.items()}
        return EntityEvents(self.row[chosen], self.entity[chosen], values)

    def of_late_entities(self) -> npt.NDArray[np.bool_]:
        """Return for each event (m,) whether any event of its entity arrived after a later one."""
        time = self.values["time"]
        late = (self.entity[1:] == self.entity[:-1]) & (time[1:] < time[:-1])
        return np.isin(self.entity, self.entity[1:][late])

    def time_key(self) -> Int64s:
        """Return integers (m,) that sort by entity, then event time.

        A key less up to ``REACH_MS`` still sorts after every event of the entity before.

        Raises:
            InvalidHistory: entities times time span exceed 63 bits.
        """
        if not len(self):
            return np.zeros(0, np.int64)
        time = self.values["time"]
        earliest = int(time.min()) - REACH_MS
        return banded_key(self.entity, time - earliest, int(time.max()) - earliest + 1)


def banded_key(band: Int64s, offset: Int64s, width: int) -> Int64s:
    """Return ``band * width + offset`` (m,), for offsets in ``[0, width)``.

    Raises:
        InvalidHistory: the result does not fit 63 bits.
    """
    if len(band) and (int(band.max()) + 1) * width > np.iinfo(np.int64).max:
        raise InvalidHistory("too many entities over too long a time for one table; use more partitions")
    return band * width + offset


def cumulative(values: Int64s) -> Int64s:
    """Return sums (m + 1,) of the first 0, 1, ..., m values, so that ``c[end] - c[begin]`` sums a range.

    >>> cumulative(np.array([3, 4])).tolist()
    [0, 3, 7]
    """
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums
