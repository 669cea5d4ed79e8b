"""Held-out rows: what is known about the payments on which scores are judged, beside the scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from features.definitions import DAY_MS
from features.transaction import Int64s
from training.models import Floats

Rows = npt.NDArray[np.bool_] | Int64s
"""Chosen rows: a mask, or indices."""

IN_ALL: Final = -1
"""Code of rows that belong to every group."""


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """A division of rows into named groups, each of which is judged by itself.

    Attributes:
        names: of the groups.
        code: (n,) int8, the group of each row; ``IN_ALL`` for a row that belongs to all, as genuine payments do
            where the groups are kinds of fraud.
    """

    names: tuple[str, ...]
    code: npt.NDArray[np.int8]

    def rows(self, name: str) -> npt.NDArray[np.bool_]:
        """Return which rows (n,) a group holds."""
        return np.asarray((self.code == self.names.index(name)) | (self.code == IN_ALL))


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """n labelled payments of a test period.

    Attributes:
        event_time_ms, amount_minor: (n,).
        customer: (n,) codes in ``[0, customers)``. Folds of one protocol share the codes, so that a customer who
            is drawn into a bootstrap sample is in it with all folds.
        customers: number of codes.
        labels: (n,) 0.0 or 1.0.
        groupings: name to division, for results by slice.
    """

    event_time_ms: Int64s
    amount_minor: Int64s
    customer: Int64s
    customers: int
    labels: Floats
    groupings: Mapping[str, Grouping]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def day(self) -> Int64s:
        """(n,) UTC days since the epoch."""
        return self.event_time_ms // DAY_MS

    def take(self, rows: Rows) -> "HeldOut":
        """Return some of the rows."""
        groupings = {name: replace(g, code=g.code[rows]) for name, g in self.groupings.items()}
        return HeldOut(
            self.event_time_ms[rows],
            self.amount_minor[rows],
            self.customer[rows],
            self.customers,
            self.labels[rows],
            groupings,
        )


def grouped(conditions: Sequence[tuple[str, npt.NDArray[np.bool_]]], rows: int) -> Grouping:
    """Return the grouping of named masks (rows,), the first that holds; a row in none of them belongs to all.

    >>> grouped([("large", np.array([True, False])), ("small", np.array([False, True]))], 2).code.tolist()
    [0, 1]
    """
    code = np.full(rows, IN_ALL, np.int8)
    for position in reversed(range(len(conditions))):
        code[conditions[position][1]] = position
    return Grouping(tuple(name for name, _ in conditions), code)
