"""Ids and words out of whatever a foreign table holds: text, categories, integers, integers stored as floats."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.errors import InvalidHistory


def to_text(cells: pa.Array, column: str) -> pa.Array:
    """Return cells (n,) as strings, null where they are null or NaN; 7.0 is "7", and True is "true".

    Raises:
        InvalidHistory: the column's type has no text form; names the column.
    """
    kind = cells.type
    if pa.types.is_dictionary(kind):
        return to_text(cells.dictionary_decode(), column)
    if pa.types.is_floating(kind):
        return _floats_to_text(cells)
    try:
        return cells.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidHistory(f"column {column} is {kind}, which cannot be an id, a word or a label") from error


def replace_values(text: pa.Array, values: Mapping[str, str | None]) -> pa.Array:
    """Return text with each cell that ``values`` names replaced, by null too; others stay as they are."""
    if not values:
        return text
    at = pc.index_in(text, value_set=pa.array(list(values), pa.string()))
    return pc.if_else(at.is_valid(), pa.array(list(values.values()), pa.string()).take(at), text)


def _floats_to_text(cells: pa.Array) -> pa.Array:
    """pandas holds a column of integers with gaps as floats: whole ones are written as integers again."""
    values = pc.fill_null(cells.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
    whole = (np.abs(values) < 2.0**53) & (values == np.rint(values))
    integers = pa.array(np.where(whole, values, 0.0).astype(np.int64)).cast(pa.string())
    text = pc.if_else(pa.array(whole), integers, cells.cast(pa.string()))
    return pc.if_else(pa.array(np.isnan(values)), pa.scalar(None, pa.string()), text)
