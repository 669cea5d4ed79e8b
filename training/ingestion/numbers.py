"""Numbers out of cells that are numbers already, or text that should be."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.errors import InvalidHistory

_NUMBER: Final = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"


def parse_numbers(cells: pa.Array, column: str) -> npt.NDArray[np.float64]:
    """Return (n,) float64; NaN where the cell is null, or text that is no number.

    Raises:
        InvalidHistory: the column's type holds no numbers; names the column.
    """
    kind = cells.type
    if pa.types.is_dictionary(kind):
        cells, kind = cells.dictionary_decode(), kind.value_type
    if pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
        raise InvalidHistory(f"column {column} is {kind}, where numbers are needed")
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        # A null in place of bad text: one bad cell must not spoil the whole batch.
        cells = pc.if_else(pc.match_substring_regex(cells.cast(pa.string()), _NUMBER), cells, None)
    try:
        numbers = cells.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidHistory(f"column {column} is {kind}, where numbers are needed") from error
    floats: npt.NDArray[np.float64] = pc.fill_null(numbers, np.nan).to_numpy(zero_copy_only=False)
    return floats
