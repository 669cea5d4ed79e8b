"""Event times out of whatever a foreign table holds: timestamps, dates, ISO 8601, own formats, epoch numbers."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.errors import InvalidHistory
from features.transaction import Int64s
from training.ingestion.mapping import TimestampFormat
from training.ingestion.numbers import parse_numbers

_US_PER_UNIT: Final = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_MAX_US: Final = 1e17
"""Beyond the year 5000: refused by the date check, and small enough for int64."""

# A full date in front: pandas would also take "now", "2018" and "20180401", which here are no times.
_ISO: Final = r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}.*)?$"
_HAS_OFFSET: Final = r"[Tt ]\d{2}:\d{2}.*([Zz]|[+-]\d{2}(:?\d{2})?)$"


def parse_event_times(
    cells: pa.Array, timestamp: TimestampFormat, column: str
) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """Return (n,) milliseconds since the epoch, rounded down, and (n,) whether the cell is a time at all.

    A time without an offset is local to ``timestamp.timezone``; one that does not exist there, or exists twice
    (the hours of the clock changes), is no time.

    Raises:
        InvalidHistory: the column's type cannot be read as the mapping says; names the column.
    """
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if timestamp.unit is not None:
        return _from_numbers(cells, _US_PER_UNIT[timestamp.unit], column)
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        if pa.types.is_date(cells.type):
            cells = cells.cast(pa.timestamp("ms"))
        naive = cells.type.tz is None
        times = pd.Series(pd.DatetimeIndex(cells.to_pandas()))
        return _milliseconds(_localised(times, timestamp.timezone) if naive else times)
    if pa.types.is_null(cells.type) or _is_text(cells.type):
        return _from_text(cells.cast(pa.string()), timestamp, column)
    raise InvalidHistory(
        f"column {column} is {cells.type}: set timestamp.unit (s, ms, us or ns) in the mapping for numbers"
    )


def _from_numbers(cells: pa.Array, us_per_unit: float, column: str) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    if pa.types.is_integer(cells.type) and us_per_unit >= 1:
        whole = pc.fill_null(cells, 0).cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
        limit = _MAX_US / us_per_unit
        known = cells.is_valid().to_numpy(zero_copy_only=False) & (whole > -limit) & (whole < limit)
        return np.where(known, whole, 0) * int(us_per_unit) // 1000, known
    number = parse_numbers(cells, column)
    known = np.abs(number) < _MAX_US / us_per_unit
    # First to whole microseconds, as datetime does: 1.001 s is 1001 ms and not 1000.
    microseconds = np.rint(np.where(known, number, 0.0) * us_per_unit).astype(np.int64)
    return microseconds // 1000, known


def _from_text(cells: pa.Array, timestamp: TimestampFormat, column: str) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    if timestamp.format == "auto":
        fmt = "ISO8601"
        cells = pc.if_else(pc.match_substring_regex(cells, _ISO), cells, None)
        offset = pc.fill_null(pc.match_substring_regex(cells, _HAS_OFFSET), False).to_numpy(zero_copy_only=False)
    else:
        fmt = timestamp.format
        offset = np.full(len(cells), "%z" in fmt)
    texts = pd.Series(cells.to_pandas(), dtype="str")
    times = pd.Series(pd.NaT, index=texts.index, dtype="datetime64[ms, UTC]")
    try:
        if offset.any():
            with_offset = pd.to_datetime(texts[offset], format=fmt, errors="coerce", utc=True)
            times[offset] = with_offset.dt.as_unit("ms")
        if not offset.all():
            naive = pd.to_datetime(texts[~offset], format=fmt, errors="coerce")
            times[~offset] = _localised(naive, timestamp.timezone).dt.as_unit("ms")
    except ValueError as error:
        raise InvalidHistory(f"column {column}: timestamp.format {fmt} cannot be used: {error}") from error
    return _milliseconds(times)


def _localised(naive: "pd.Series[pd.Timestamp]", timezone: str) -> "pd.Series[pd.Timestamp]":
    if timezone == "UTC":
        return naive.dt.tz_localize("UTC")
    return naive.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")


def _milliseconds(times: "pd.Series[pd.Timestamp]") -> tuple[Int64s, npt.NDArray[np.bool_]]:
    known = times.notna().to_numpy()
    time_ms = times.dt.as_unit("ms").to_numpy(dtype="datetime64[ms]").astype(np.int64)
    return np.where(known, time_ms, 0), known


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
