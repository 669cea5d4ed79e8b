"""The slices that results are broken down by: kinds of payment, customer, merchant and fraud."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from features.transaction import Int64s
from training.costs import MINOR_UNITS
from training.evaluation.held_out import Grouping, grouped
from training.models import Floats

AMOUNT_BANDS_MINOR: Final = ((0, 2_500), (2_500, 10_000), (10_000, 25_000), (25_000, None))
"""Bounds [from, to) in minor units."""

Bools = npt.NDArray[np.bool_]


def slices(
    labels: Floats,
    amount_minor: Int64s,
    customer_payments: Floats,
    merchant_payments: Floats,
    merchant_frauds: Floats,
    patterns: Sequence[str | None] | pa.ChunkedArray,
) -> dict[str, Grouping]:
    """Return the groupings of n rows; that by fraud pattern only where the history knows any.

    Args:
        labels: (n,) 0.0 or 1.0.
        amount_minor: (n,).
        customer_payments: (n,) payments of the customer in the 30 days before.
        merchant_payments: (n,) payments of the merchant in the 30 days before.
        merchant_frauds: (n,) frauds there in 30 days whose labels are known.
        patterns: n kinds of fraud; None for a genuine payment or an unknown kind.
    """
    n = len(labels)
    found = {
        "amount": grouped(
            [(_band(low, high), _between(amount_minor, low, high)) for low, high in AMOUNT_BANDS_MINOR], n
        ),
        "customer": grouped(
            [("new (no payment in 30 days)", customer_payments == 0), ("known", customer_payments > 0)], n
        ),
        "merchant": grouped(
            [
                ("with known frauds", merchant_frauds > 0),
                ("new (no payment in 30 days)", merchant_payments == 0),
                ("without known frauds", merchant_payments > 0),
            ],
            n,
        ),
    }
    return found | _by_pattern(labels, patterns)


def _by_pattern(labels: Floats, patterns: Sequence[str | None] | pa.ChunkedArray) -> dict[str, Grouping]:
    """Return the grouping of the frauds by pattern; every genuine payment belongs to all of them."""
    fraud = np.flatnonzero(labels == 1)
    # Of the frauds alone: they are few, and words take room.
    words = pa.chunked_array([pa.array(patterns, pa.string())]) if isinstance(patterns, Sequence) else patterns
    word = np.array([pattern or "" for pattern in words.take(pa.array(fraud)).to_pylist()], np.str_)
    names = sorted({str(name) for name in word} - {""})
    if not names:
        return {}

    def mask(name: str) -> Bools:
        rows = np.zeros(len(labels), bool)
        rows[fraud[word == name]] = True
        return rows

    conditions = [(name, mask(name)) for name in names]
    if (word == "").any():
        conditions.append(("unknown", mask("")))
    return {"fraud pattern": grouped(conditions, len(labels))}


def _between(amount_minor: Int64s, low: int, high: int | None) -> Bools:
    return np.asarray((amount_minor >= low) & (amount_minor < (high or np.iinfo(np.int64).max)))


def _band(low: int, high: int | None) -> str:
    """Return the words of a band.

    >>> _band(2_500, 10_000), _band(25_000, None)
    ('25 to 100', '250 and more')
    """
    from_words = f"{low / MINOR_UNITS:g}"
    return f"{from_words} and more" if high is None else f"{from_words} to {high / MINOR_UNITS:g}"
