"""Bootstrap by customer: how far a figure would move if other customers of the same kind had been observed.

Payments of one customer stand or fall together (a stolen card is many frauds), so customers are drawn and not
payments: the cluster bootstrap (Davison and Hinkley, 1997, section 3.8). A sample is a weight for each customer:
how often it was drawn.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator

from training.models import Floats

Metrics = Mapping[str, Floats]
"""Name to values (r,) under r weightings of the customers."""


_Figure = Annotated[float, BeforeValidator(lambda value: float("nan") if value is None else value)]
"""NaN is null in JSON."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval; NaN where it is undefined."""

    value: _Figure
    low: _Figure
    high: _Figure


def estimates(
    metrics: Callable[[Floats], Metrics],
    customers: int,
    *,
    replicates: int = 500,
    level: float = 0.95,
    seed: int = 0,
    at_once: int = 100,
) -> dict[str, Estimate]:
    """Return each metric with its percentile interval (Efron, 1979).

    Args:
        metrics: computes all metrics (r,) under weights (customers, r).
        customers: how many there are.
        replicates: bootstrap samples; 0: every interval is its value.
        level: share of the samples within an interval.
        at_once: samples computed together; it bounds memory.
    """
    points = metrics(np.ones((customers, 1)))
    drawn = [metrics(weights) for weights in customer_weights(customers, replicates, seed, at_once)]
    result = {}
    for name, point in points.items():
        values = np.concatenate([one[name] for one in drawn]) if drawn else point
        result[name] = Estimate(float(point[0]), *interval(values, level))
    return result


def customer_weights(customers: int, replicates: int, seed: int, at_once: int = 100) -> Iterator[Floats]:
    """Yield weights (customers, up to ``at_once``), ``replicates`` columns in all.

    A column says how often each customer was drawn in ``customers`` draws with replacement. The columns do not
    depend on ``at_once``.
    """
    generator = np.random.default_rng(seed)
    for start in range(0, replicates, at_once):
        columns = min(at_once, replicates - start)
        weights = np.empty((customers, columns))
        for column in range(columns):
            drawn = generator.integers(0, customers, customers)
            weights[:, column] = np.bincount(drawn, minlength=customers)
        yield weights


def interval(values: Floats, level: float) -> tuple[float, float]:
    """Return the interval that holds ``level`` of the values, those that are undefined left out.

    >>> interval(np.array([1.0, 2.0, 3.0, np.nan]), 1.0)
    (1.0, 3.0)
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
