"""From integer aggregates to the feature matrix: one formula a kind of feature.

Every formula is a few IEEE operations on exact integers, in one fixed order, so that any evaluator with the
same aggregates gets the same bits.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from features.definitions import D30, DAY_MS, FEATURES, HOUR_MS, NIGHT_ENDS_HOUR, NO_TIME, Formula
from features.geo import great_circle_m
from features.transaction import NO_PLACE, Int64s

Matrix = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[np.int64]]
"""Own columns of the transactions (event_time_ms, amount_minor, lat_udeg, long_udeg) and the aggregates."""

Values = npt.NDArray[np.float64] | npt.NDArray[np.int64] | npt.NDArray[np.bool_]

OWN_COLUMNS: Final = ("event_time_ms", "amount_minor", "lat_udeg", "long_udeg")


def feature_matrix(columns: Columns) -> Matrix:
    """Return the feature matrix (n, len(FEATURES)) float64, in the order of ``FEATURE_NAMES``.

    Features of one formula are computed together, since for a small batch a NumPy call costs more than its
    arithmetic.

    Args:
        columns: ``OWN_COLUMNS`` and ``AGGREGATE_COLUMNS``, each (n,) int64.
    """
    by_feature = np.empty((len(FEATURES), len(columns["event_time_ms"])))
    for formula, positions, inputs in _GROUPS:
        if len(positions) == 1:
            by_feature[positions[0]] = FORMULAS[formula](columns, *(columns[names[0]] for names in inputs))
        else:
            stacked = (np.array([columns[name] for name in names]) for names in inputs)
            by_feature[positions] = FORMULAS[formula](columns, *stacked)
    return np.ascontiguousarray(by_feature.T)


def _groups() -> list[tuple[Formula, list[int], list[tuple[str, ...]]]]:
    """Return, for each formula, the features that use it and the names of their first, second, ... inputs."""
    groups = []
    for formula in dict.fromkeys(feature.formula for feature in FEATURES):
        positions = [i for i, feature in enumerate(FEATURES) if feature.formula == formula]
        inputs = list(zip(*(FEATURES[i].inputs for i in positions), strict=True))
        groups.append((formula, positions, inputs))
    return groups


def _hour_of_day(columns: Columns) -> Int64s:
    return columns["event_time_ms"] // HOUR_MS % 24


def _day_of_week(columns: Columns) -> Int64s:
    return (columns["event_time_ms"] // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0.


def _mean(_: Columns, total_minor: Int64s, count: Int64s) -> Matrix:
    return np.divide(total_minor, count, out=np.zeros(count.shape), where=count > 0) / 100


def _ratio_to_mean(columns: Columns, total_minor: Int64s, count: Int64s) -> Matrix:
    # amount / (total / count), in one division of exact integers; 1 where there is no history.
    ratio: Matrix = np.ones(count.shape)
    np.divide(columns["amount_minor"] * count, total_minor, out=ratio, where=total_minor > 0)
    return ratio


def _ratio_of_means(
    _: Columns, total_minor: Int64s, count: Int64s, longer_total_minor: Int64s, longer_count: Int64s
) -> Matrix:
    # In floats, as the products of sums and counts could pass 2^63; 1 where there is no history.
    ratio: Matrix = np.ones(count.shape)
    np.divide(
        np.multiply(total_minor, longer_count, dtype=np.float64),
        np.multiply(longer_total_minor, count, dtype=np.float64),
        out=ratio,
        where=(count > 0) & (longer_total_minor > 0),
    )
    return ratio


def _rate(_: Columns, part: Int64s, whole: Int64s) -> Matrix:
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)


def _elapsed(columns: Columns, previous_time_ms: Int64s) -> Matrix:
    longest_ms = D30.duration_ms
    elapsed_ms = np.minimum(columns["event_time_ms"] - previous_time_ms, longest_ms)
    return np.where(previous_time_ms == NO_TIME, longest_ms, elapsed_ms) / 1000


def _speed(columns: Columns, place_time_ms: Int64s, lat_udeg: Int64s, long_udeg: Int64s) -> Matrix:
    speed_kmh = np.zeros(len(place_time_ms))
    known = (place_time_ms != NO_TIME) & (columns["lat_udeg"] != NO_PLACE)
    if known.any():
        metres = great_circle_m(
            lat_udeg[known], long_udeg[known], columns["lat_udeg"][known], columns["long_udeg"][known]
        )
        # m / ms is 3600 km/h.
        speed_kmh[known] = metres * 3600 / (columns["event_time_ms"][known] - place_time_ms[known])
    return speed_kmh


FORMULAS: Final[Mapping[Formula, Callable[..., Values]]] = {
    "amount": lambda columns: columns["amount_minor"] / 100,
    "hour_of_day": _hour_of_day,
    "day_of_week": _day_of_week,
    "is_night": lambda columns: _hour_of_day(columns) < NIGHT_ENDS_HOUR,
    "is_weekend": lambda columns: _day_of_week(columns) >= 5,
    "count": lambda _, count: count,
    "major_units": lambda _, total_minor: total_minor / 100,
    "mean": _mean,
    "ratio_to_mean": _ratio_to_mean,
    "ratio_of_means": _ratio_of_means,
    "rate": _rate,
    "any": lambda _, count: count > 0,
    "elapsed": _elapsed,
    "speed": _speed,
}

_GROUPS: Final = _groups()
