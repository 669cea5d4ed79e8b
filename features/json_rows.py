"""Decoded JSON objects as columns: a pass of compiled code a field, no object of ours a row."""

from itertools import chain
from typing import Any

import numpy as np

from features.admission import (
    FIELDS,
    MAX_FIELDS,
    TEXT_FIELDS,
    Admitted,
    Bools,
    Columns,
    Floats,
    admit,
    checked_texts,
    times_of_numbers,
    times_of_values,
)
from features.transaction import Int64s

_NUMBERS = {int, float, type(None)}
_FARTHEST = 1e15
"""Far beyond every bound of the contract, and still exact enough to compare."""


def admit_json(values: list[Any], now_ms: int) -> Admitted:
    """Return which of n decoded JSON values are transactions, as a batch.

    Args:
        values: whatever the items of a JSON array, or the lines of an NDJSON file, hold.
        now_ms: the time, for the check of event times.
    """
    return admit(_columns(values), values.__getitem__, now_ms)


def _columns(values: list[Any]) -> Columns:
    n = len(values)
    doubtful = np.zeros(n, np.bool_)
    rows, names = values, _names(values)
    if names is None:
        plain = [type(v) is dict and len(v) <= MAX_FIELDS and FIELDS.issuperset(v) for v in values]
        np.logical_not(plain, out=doubtful)
        rows = [value if is_plain else {} for value, is_plain in zip(values, plain, strict=True)]
        names = set(chain.from_iterable(rows))
    nothing = [None] * n
    columns = {name: [row.get(name) for row in rows] if name in names else nothing for name in FIELDS}
    return Columns(
        texts={name: checked_texts(name, columns[name], doubtful) for name in TEXT_FIELDS},
        event_time_ms=_times(columns["timestamp"], doubtful),
        amount=_numbers(columns["amount"], doubtful),
        lat=_numbers(columns["lat"], doubtful),
        long=_numbers(columns["long"], doubtful),
        doubtful=doubtful,
    )


def _names(values: list[Any]) -> set[str] | None:
    """Return the fields that occur; None when a value is no object of known fields."""
    if set(map(type, values)) != {dict} or max(map(len, values)) > MAX_FIELDS:
        return None
    names = set(chain.from_iterable(values))
    return names if names <= FIELDS else None


def _times(column: list[Any], doubtful: Bools) -> Int64s:
    if set(map(type, column)) <= {int, float}:
        return times_of_numbers(_numbers(column, doubtful))
    return times_of_values(column, doubtful)


def _numbers(column: list[Any], doubtful: Bools) -> Floats:
    """Return a column of numbers, NaN in place of None and of what is no good number; marks the latter."""
    numbers = _all_numbers(column)
    if numbers is not None:
        return numbers
    good = [_is_good_number(value) for value in column]
    strange = [not ok and value is not None for ok, value in zip(good, column, strict=True)]
    np.logical_or(doubtful, strange, out=doubtful)
    return np.array([value if ok else None for value, ok in zip(column, good, strict=True)], np.float64)


def _all_numbers(column: list[Any]) -> Floats | None:
    """Return a column of nothing but numbers and None; None when something else is in it."""
    if not set(map(type, column)) <= _NUMBERS:
        return None
    try:
        numbers = np.array(column, np.float64)
    except OverflowError:  # An integer of more than 308 digits.
        return None
    # A JSON parser reads the word NaN, too, which is a number here and none for the contract.
    return numbers if np.isnan(numbers).sum() == column.count(None) else None


def _is_good_number(value: Any) -> bool:
    return type(value) in (int, float) and -_FARTHEST < value < _FARTHEST
