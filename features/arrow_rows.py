"""Arrow columns as a batch: checked a column at a time, with no Python object a row but the texts of the batch."""

from datetime import timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.admission import (
    FIELDS,
    NO_TIME_MS,
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
from features.errors import InvalidTransaction
from features.transaction import EPOCH, Int64s, Transaction

REQUIRED: Final = tuple(name for name, field in Transaction.model_fields.items() if field.is_required())

_LONGEST_BYTES: Final = 256
"""Bytes of the longest good text: 64 characters of four bytes."""
_TOO_LONG: Final = "x" * 65
"""Stands for any longer text. A view or a dictionary may name one megabyte in each of many rows."""
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def check_schema(schema: pa.Schema) -> None:
    """Check that a table has the columns of the contract, in types that can hold them.

    Raises:
        InvalidTransaction: naming the column.
    """
    for name, kind in zip(schema.names, schema.types, strict=True):
        if name not in FIELDS:
            raise InvalidTransaction(name[:64], "is not a field of a transaction")
        if schema.names.count(name) > 1:
            raise InvalidTransaction(name, "is there more than once")
        wanted = _wanted(name, kind)
        if wanted:
            raise InvalidTransaction(name, f"must be a column of {wanted}, not {str(kind)[:64]}")
    for name in REQUIRED:
        if name not in schema.names:
            raise InvalidTransaction(name, "is required")


def admit_arrow(batch: pa.RecordBatch, now_ms: int) -> Admitted:
    """Return which of n rows are transactions, as a batch. Null is absent.

    Args:
        batch: of a schema that passed :func:`check_schema`, its buffers validated.
        now_ms: the time, for the check of event times.
    """
    n = len(batch)
    doubtful = np.zeros(n, np.bool_)
    cells = _Cells(batch)
    columns = Columns(
        texts={name: checked_texts(name, cells.texts(name), doubtful) for name in TEXT_FIELDS},
        event_time_ms=_times(batch.column("timestamp"), doubtful),
        amount=_numbers(batch, "amount", doubtful),
        lat=_numbers(batch, "lat", doubtful),
        long=_numbers(batch, "long", doubtful),
        doubtful=doubtful,
    )
    return admit(columns, cells.row, now_ms)


class _Cells:
    """The cells of a batch as Python values: whole columns of text, and single rows in doubt."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._texts: dict[str, list[Any]] = {}

    def texts(self, name: str) -> list[Any]:
        """Return a column of texts; a new list of None where there is no such column."""
        if name not in self._batch.schema.names:
            return [None] * len(self._batch)
        self._texts[name] = _texts(self._batch.column(name))
        return self._texts[name]

    def row(self, at: int) -> dict[str, Any]:
        """Return a row as the contract wants it; what is null is not in it."""
        cells = {name: texts[at] for name, texts in self._texts.items()}
        for name in self._batch.schema.names:
            if name not in cells:
                cell = self._batch.column(name).slice(at, 1)
                cells[name] = _moment(cell) if name == "timestamp" else _number(cell)
        return {name: value for name, value in cells.items() if value is not None}


def _wanted(name: str, kind: pa.DataType) -> str:
    """Return what a column should hold instead of its type; "" when the type is good."""
    if pa.types.is_null(kind):
        return ""
    if name in TEXT_FIELDS:
        return "" if _is_text(kind) else "strings"
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    if name == "timestamp":
        good = number or pa.types.is_timestamp(kind) or _is_text(kind)
        return "" if good else "timestamps, epoch seconds or ISO 8601 strings"
    return "" if number else "numbers"


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type) and not pa.types.is_dictionary(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _texts(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        # Rows share the objects of the dictionary. A null of either is None: -1 is the place of the last one.
        words = np.array([*_texts(column.dictionary), None], object)
        places = pc.fill_null(column.indices, pa.scalar(-1, pa.int64()).cast(column.indices.type, safe=False))
        places = places.to_numpy(zero_copy_only=False)
        nulls = column.is_null().to_numpy(zero_copy_only=False)
        texts: list[Any] = words[np.where(nulls, -1, places.astype(np.int64))].tolist()
        return texts
    if pa.types.is_null(column.type) or _longest(column) <= _LONGEST_BYTES:
        return list(column.to_pylist())
    lengths = _lengths(column)
    return [
        cell.as_py() if length <= _LONGEST_BYTES else _TOO_LONG
        for cell, length in zip(column, lengths.tolist(), strict=True)
    ]


def _longest(column: pa.Array) -> int:
    return int(_lengths(column).max(initial=0))


def _lengths(column: pa.Array) -> Int64s:
    """Return the bytes (n,) of each text; of a null one, any number."""
    if pa.types.is_string_view(column.type):
        # A view is 16 bytes, of which the first four are the length.
        views = np.frombuffer(column.buffers()[1], np.int32).reshape(-1, 4)
        return views[column.offset : column.offset + len(column), 0].astype(np.int64)
    lengths: Int64s = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _times(column: pa.Array, doubtful: Bools) -> Int64s:
    if pa.types.is_timestamp(column.type):
        return _times_of_timestamps(column)
    if _is_text(column.type):
        return times_of_values(_texts(column), doubtful)
    return times_of_numbers(_floats(column))


def _times_of_timestamps(column: pa.Array) -> Int64s:
    per_second = _PER_SECOND[column.type.unit]
    ticks = pc.fill_null(column.cast(pa.int64()), NO_TIME_MS).to_numpy(zero_copy_only=False)
    # Seconds before they are multiplied: a number of them may not fit.
    seconds, rest = np.divmod(ticks, per_second)
    good = (seconds > 0) & (seconds < 10**11)
    return np.where(good, np.where(good, seconds, 0) * 1000 + rest * 1000 // per_second, NO_TIME_MS)


def _numbers(batch: pa.RecordBatch, name: str, doubtful: Bools) -> Floats:
    """Return a column of numbers, NaN where there is none; marks a NaN of the client."""
    if name not in batch.schema.names:
        return np.full(len(batch), np.nan)
    column = batch.column(name)
    numbers = _floats(column)
    nothing = np.isnan(numbers)
    if nothing.sum() != column.null_count:
        np.logical_or(doubtful, nothing & column.is_valid().to_numpy(zero_copy_only=False), out=doubtful)
    return numbers


def _floats(column: pa.Array) -> Floats:
    if pa.types.is_decimal(column.type):
        # By way of its digits: the nearest float, as a JSON parser would read them.
        column = column.cast(pa.string())
    floats: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return floats


def _number(cell: pa.Array) -> float | None:
    return None if cell.null_count else float(_floats(cell)[0])


def _moment(cell: pa.Array) -> Any:
    if cell.null_count:
        return None
    if _is_text(cell.type):
        return _texts(cell)[0]
    if not pa.types.is_timestamp(cell.type):
        return _number(cell)
    seconds, rest = divmod(cell.cast(pa.int64())[0].as_py(), _PER_SECOND[cell.type.unit])
    try:
        return EPOCH + timedelta(seconds=seconds, microseconds=rest * 10**6 // _PER_SECOND[cell.type.unit])
    except OverflowError:
        return float(seconds)  # No date of any calendar: the contract says so.
