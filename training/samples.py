"""Rows to fit on or to validate with: a matrix in memory, or blocks of one that lies on disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from features.formulas import Matrix

BLOCK_ROWS: Final = 16_384
"""Rows that are in memory at once, whatever the size of a shard: 5 MB of features."""


class SampleBlocks(Protocol):
    """Rows that are read again and again, a block at a time and always in the same blocks."""

    def __len__(self) -> int:
        """Return how many rows there are."""

    def blocks(self) -> "Iterator[Samples]":
        """Yield all rows in order, as blocks of at most ``BLOCK_ROWS``, none of them empty."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows in memory.

    Attributes:
        matrix: (n, d) float64.
        labels: (n,) float64, 0 or 1.
        weights: (n,) float64 of the rows in the loss; None: 1 each.
    """

    matrix: Matrix
    labels: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def blocks(self) -> "Iterator[Samples]":
        """Yield the rows in blocks, which copy nothing."""
        for start in range(0, len(self), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            weights = None if self.weights is None else self.weights[rows]
            yield Samples(self.matrix[rows], self.labels[rows], weights)
