"""Metrics of a score as a probability, under many weightings of the customers: does 0.9 mean nine in ten?"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from features.transaction import Int64s
from training.models import Floats, Probabilities

BINS: Final = 10


def brier(labels: Floats, scores: Probabilities, customer: Int64s, weights: Floats) -> Floats:
    """Return the mean squared error of the probability (r,) (Brier, 1950).

    Args:
        labels: (n,) 0.0 or 1.0.
        scores: (n,) probabilities.
        customer: (n,) codes of the rows in ``weights``.
        weights: (customers, r).
    """
    squared = (np.asarray(scores, np.float64) - labels) ** 2
    return _mean(weighted_sum(squared, customer, weights), customer, weights)


def calibration_error(
    labels: Floats, scores: Probabilities, customer: Int64s, weights: Floats, bins: int = BINS
) -> Floats:
    """Return the expected calibration error (r,): the mean over payments of |observed - predicted| of their bin.

    Bins of equal width in [0, 1] (Naeini, Cooper and Hauskrecht, 2015; Guo et al., 2017). Nearly all payments lie
    in the lowest one, where this is the error of the mean probability; the reliability diagram shows the others.
    Arguments as :func:`brier`.
    """
    errors = labels - np.asarray(scores, np.float64)
    cell = bin_numbers(scores, bins) * len(weights) + customer
    totals = np.bincount(cell, errors, minlength=bins * len(weights)).reshape(bins, len(weights))
    return _mean(np.abs(totals @ weights).sum(axis=0), customer, weights)


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A reliability diagram: for each bin that is not empty its payments, mean score and share of frauds, (b,)."""

    rows: Int64s
    mean_score: Floats
    fraud_share: Floats


def reliability(labels: Floats, scores: Probabilities, bins: int = BINS) -> Reliability:
    """Return the reliability diagram of scores (n,) with bins of equal width (DeGroot and Fienberg, 1983)."""
    number = bin_numbers(scores, bins)
    rows = np.bincount(number, minlength=bins)
    used = rows > 0
    score_sum = np.bincount(number, np.asarray(scores, np.float64), bins)[used]
    fraud_sum = np.bincount(number, labels, bins)[used]
    return Reliability(rows[used].astype(np.int64), score_sum / rows[used], fraud_sum / rows[used])


def bin_numbers(scores: Probabilities, bins: int) -> Int64s:
    """Return the bin (n,) of each score, the last one closed at 1.

    >>> bin_numbers(np.array([0.0, 0.1, 0.95, 1.0]), 10).tolist()
    [0, 1, 9, 9]
    """
    return np.minimum((np.asarray(scores, np.float64) * bins).astype(np.int64), bins - 1)


def _mean(total: Floats, customer: Int64s, weights: Floats) -> Floats:
    """Return totals (r,) divided by the weight of the rows; NaN where that is 0."""
    count = weighted_sum(np.ones(len(customer)), customer, weights)
    mean: Floats = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean


def weighted_sum(values: Floats, customer: Int64s, weights: Floats) -> Floats:
    """Return the sum of values (n,) under each weighting (r,) of their customers (n,)."""
    totals = np.bincount(customer, values, minlength=len(weights))
    summed: Floats = totals @ weights
    return summed
