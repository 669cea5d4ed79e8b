"""Steps of a feature: where logistic regression may jump, learned as quantiles of the frauds of all workers.

A step is 1 where the feature lies above a place, else 0. With steps a model that is linear in its inputs can
follow any shape of one feature, as the sharp rise of fraud above a high amount, and stays a sum of terms that can
be read. Places are quantiles among the *frauds*, because the shape matters where frauds are: with quantiles of all
payments half of the places would lie where nothing ever happens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from features.definitions import FEATURES
from features.formulas import Matrix
from training.samples import SampleBlocks

Floats = npt.NDArray[np.float64]
AllReduce = Callable[[Floats], Floats]
"""Sums a flat array over all workers; every worker makes the same calls and gets the same bits."""

TWO_VALUED: Final = ("any", "is_night", "is_weekend")
"""Formulas whose only step would be the feature itself."""
STEPPED: Final = tuple(i for i, feature in enumerate(FEATURES) if feature.formula not in TWO_VALUED)
"""Columns of the feature matrix that may get steps."""

_KEY_BITS: Final = 64
_MAGNITUDE: Final = np.int64(0x7FFF_FFFF_FFFF_FFFF)


@dataclass(frozen=True, eq=False)
class StepPlaces:
    """m places, ordered by feature and then by value.

    Attributes:
        feature: (m,) the column that each step reads.
        above: (m,) the step is 1 where the column is greater than this.
    """

    feature: npt.NDArray[np.intp]
    above: Floats

    def __len__(self) -> int:
        return len(self.above)

    def indicators(self, matrix: Matrix) -> npt.NDArray[np.bool_]:
        """Return (n, m) whether each row of a feature matrix (n, d) lies above each place."""
        reached: npt.NDArray[np.bool_] = matrix.take(self.feature, axis=1) > self.above
        return reached


NO_PLACES: Final = StepPlaces(np.empty(0, np.intp), np.empty(0))


@dataclass(frozen=True, eq=False)
class Steps(StepPlaces):
    """Fitted steps.

    Attributes:
        share: (m,) of the training rows that lie above each place.
        height: (m,) log-odds that a row gains above it.
    """

    share: Floats
    height: Floats

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return (n, d) log-odds: what the steps of each feature add, compared with their mean in training."""
        each = (self.indicators(matrix) - self.share) * self.height
        total = np.zeros(matrix.shape)
        if len(self):
            stepped, first = np.unique(self.feature, return_index=True)
            total[:, stepped] = np.add.reduceat(each, first, axis=1)
        return total


NO_STEPS: Final = Steps(NO_PLACES.feature, NO_PLACES.above, np.empty(0), np.empty(0))


def learn_places(
    samples: SampleBlocks,
    *,
    quantiles: int,
    columns: Sequence[int] = STEPPED,
    allreduce: AllReduce = lambda local: local,
) -> StepPlaces:
    """Return the places of the steps, the same on every worker, and the same however the rows are sharded.

    Of each column the ``quantiles - 1`` inner quantiles among the frauds (the smallest value that a share of them
    does not exceed), each once, but for those above which no row lies at all.

    Args:
        samples: this worker's rows; its frauds are held in memory.
        quantiles: parts that the frauds are cut into; 1: no steps.
        columns: of the matrix, that get steps.
        allreduce: sums over the workers; the identity when there is one.
    """
    frauds, highest = _frauds_and_highest(samples, list(columns))
    total = float(allreduce(np.array([len(frauds)], np.float64))[0])
    if quantiles < 2 or not columns or not total:
        return NO_PLACES
    ranks = np.ceil(total * np.arange(1, quantiles) / quantiles)
    places = _values_at(frauds, ranks, allreduce)
    column = np.repeat(np.array(columns, np.intp), len(ranks))
    candidates = StepPlaces(column, places.ravel())
    above = np.repeat(highest, len(ranks)) > candidates.above
    reached = allreduce(above.astype(np.float64)) > 0
    # Within a column the places ascend, so equal ones are neighbours.
    first = np.append(True, (np.diff(column) != 0) | (np.diff(candidates.above) != 0))
    return StepPlaces(column[reached & first], candidates.above[reached & first])


def _frauds_and_highest(samples: SampleBlocks, columns: list[int]) -> tuple[Matrix, Floats]:
    """Return some columns (frauds, c) of the frauds alone, and the highest value (c,) of each in any row."""
    frauds, highest = [np.empty((0, len(columns)))], np.full(len(columns), -np.inf)
    for block in samples.blocks():
        values = block.matrix[:, columns]
        frauds.append(values[block.labels == 1])
        # A value that is not a number is above no place.
        highest = np.fmax(highest, np.fmax.reduce(values, axis=0))
    return np.concatenate(frauds), highest


def _values_at(values: Matrix, ranks: Floats, allreduce: AllReduce) -> Matrix:
    """Return, for each column, the smallest value (c, r) with at least so many values of all workers up to it.

    By bisection on the bits of the numbers, all columns and ranks at once: 64 sums of c * r counts over the
    workers find the exact values, without that any worker sees the rows of another.
    """
    keys = np.sort(_ordered_keys(values), axis=0)
    shape = (values.shape[1], len(ranks))
    low, high = np.full(shape, np.iinfo(np.int64).min), np.full(shape, np.iinfo(np.int64).max)
    for _ in range(_KEY_BITS):
        middle = (low >> 1) + (high >> 1) + (low & high & 1)  # Their sum could overflow.
        local = [np.searchsorted(column, at, side="right") for column, at in zip(keys.T, middle, strict=True)]
        enough = allreduce(np.array(local, np.float64).ravel()).reshape(shape) >= ranks
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle + 1)
    return _from_keys(high)


def _ordered_keys(values: Matrix) -> npt.NDArray[np.int64]:
    """Return integers that are ordered as the numbers are: a negative number has its magnitude bits turned."""
    bits = np.ascontiguousarray(values + 0.0).view(np.int64)  # Adding 0.0 makes -0.0 equal to 0.0.
    return bits ^ ((bits >> 63) & _MAGNITUDE)


def _from_keys(keys: npt.NDArray[np.int64]) -> Matrix:
    return np.asarray(keys ^ ((keys >> 63) & _MAGNITUDE)).view(np.float64)
