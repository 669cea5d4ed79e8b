"""One batch of a foreign table to rows of the history, and what is wrong with those that the contract refuses.

The same contract as at the door (``features/transaction.py``), in column form: ids and words of 1 to 64
characters, an amount of a cent or more and at most MAX_AMOUNT, a date from 2000 to a day from now, a place that is
whole or absent.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.history import HISTORY_SCHEMA, KNOWN_LABELS
from features.transaction import EARLIEST_EVENT_TIME_MS, MAX_AMOUNT, MAX_CLOCK_SKEW_MS, Int64s, amounts_to_minor
from training.ingestion.event_times import parse_event_times
from training.ingestion.mapping import ID_FIELDS, MAX_LENGTH, WORD_FIELDS, ColumnMapping, HistoryField
from training.ingestion.numbers import parse_numbers
from training.ingestion.sources import SourceBatch
from training.ingestion.texts import replace_values, to_text

Bools = npt.NDArray[np.bool_]

_NEEDED_IDS: Final = ("transaction_id", "customer_id")
_CURRENCY: Final = "^[A-Za-z]{3}$"


@dataclass(slots=True)
class Faults:
    """The first thing that is wrong with each row of a batch of n.

    Attributes:
        code: (n,) 0 where nothing is wrong, else 1 + index into ``kinds``.
        kinds: (field, reason) of the faults found.
    """

    code: Int64s
    kinds: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def none(cls, n: int) -> "Faults":
        """Return no faults of n rows."""
        return cls(np.zeros(n, np.int64))

    def add(self, wrong: Bools, field_name: str, reason: str) -> None:
        """Note the rows under the mask (n,) as wrong, unless something is wrong with them already."""
        new = wrong & (self.code == 0)
        if new.any():
            self.kinds.append((field_name, reason))
            self.code[new] = len(self.kinds)


def to_history(batch: SourceBatch, mapping: ColumnMapping, now_ms: int) -> tuple[pa.Table, Faults]:
    """Return the good rows of a batch as ``HISTORY_SCHEMA``, in their order, and the faults of all rows.

    Raises:
        InvalidHistory: a column's type cannot hold what it is mapped to; names the column.
    """
    n = len(batch.row)
    faults = Faults.none(n)
    columns: dict[str, pa.Array] = {}
    for name in (*ID_FIELDS, *WORD_FIELDS):
        columns[name] = _text_field(batch, mapping, name, faults)
    columns["event_time"] = _event_time(batch, mapping, now_ms, faults)
    columns["amount_minor"] = _amount_minor(batch, mapping, faults)
    columns["lat"], columns["long"] = _place(batch, mapping, faults)
    columns["is_fraud"] = _label(batch, mapping, faults)
    columns["known_labels"] = _known_labels(batch, mapping, columns["is_fraud"], now_ms, faults)
    columns["arrival"] = _arrival(batch, mapping, faults)
    good = pa.array(faults.code == 0)
    kept = [columns[name].filter(good) for name in HISTORY_SCHEMA.names]
    return pa.table(kept, schema=HISTORY_SCHEMA), faults


def _cells(batch: SourceBatch, mapping: ColumnMapping, name: str) -> pa.Array | None:
    return batch.columns.get(mapping.column(name) or "")


def _text_field(batch: SourceBatch, mapping: ColumnMapping, name: str, faults: Faults) -> pa.Array:
    cells = _cells(batch, mapping, name)
    if cells is None and name == "transaction_id":
        # File and row: the same row gets the same id when the source is ingested again.
        cells = pc.binary_join_element_wise(f"{batch.file_number}-", pa.array(batch.row).cast(pa.string()), "")
    if cells is None:
        return pa.array([mapping.constant(name)] * len(batch.row), pa.string())
    text = replace_values(to_text(cells, mapping.column(name) or name), mapping.replacements(name))
    if mapping.prefix(name):
        text = pc.binary_join_element_wise(mapping.prefix(name), text, "")
    if name in _NEEDED_IDS:
        faults.add(_numpy(text.is_null()), name, "is missing")
    length = pc.fill_null(pc.utf8_length(text), 1)
    wrong = pc.or_(pc.less(length, 1), pc.greater(length, MAX_LENGTH))
    faults.add(_numpy(wrong), name, f"must have 1 to {MAX_LENGTH} characters")
    if name == "currency":
        fits = pc.fill_null(pc.match_substring_regex(text, _CURRENCY), True)
        faults.add(~_numpy(fits), name, "must be a code of three letters (ISO 4217)")
    return text


def _event_time(batch: SourceBatch, mapping: ColumnMapping, now_ms: int, faults: Faults) -> pa.Array:
    column = mapping.columns["event_time"]
    cells = batch.columns[column]
    time_ms, known = parse_event_times(cells, mapping.timestamp, column)
    faults.add(_numpy(cells.is_null()), "event_time", "is missing")
    faults.add(~known, "event_time", "is not a time as the mapping describes it")
    plausible = (time_ms >= EARLIEST_EVENT_TIME_MS) & (time_ms <= now_ms + MAX_CLOCK_SKEW_MS)
    faults.add(~plausible, "event_time", "must lie between 2000-01-01 and a day from now")
    return pa.array(time_ms).cast(pa.timestamp("ms", tz="UTC"))


def _amount_minor(batch: SourceBatch, mapping: ColumnMapping, faults: Faults) -> pa.Array:
    column = mapping.columns["amount"]
    cells = batch.columns[column]
    given = parse_numbers(cells, column)
    faults.add(_numpy(cells.is_null()), "amount", "is missing")
    faults.add(~np.isfinite(given), "amount", "is not a finite number")
    faults.add(given <= 0, "amount", "must be greater than 0")
    if mapping.amount_unit == "minor":
        faults.add(given != np.rint(given), "amount", "must be a whole number of minor units")
        given = given / 100
    faults.add(given > MAX_AMOUNT, "amount", f"must be at most {MAX_AMOUNT:,}")
    sound = np.isfinite(given) & (np.abs(given) <= MAX_AMOUNT)
    minor = amounts_to_minor(np.where(sound, given, 0.0))
    faults.add(minor < 1, "amount", "must be at least 0.01 when rounded to two decimals")
    return pa.array(minor)


def _place(batch: SourceBatch, mapping: ColumnMapping, faults: Faults) -> tuple[pa.Array, pa.Array]:
    degrees = []
    sides: tuple[tuple[HistoryField, float], ...] = (("lat", 90.0), ("long", 180.0))
    for name, limit in sides:
        cells = _cells(batch, mapping, name)
        value = np.full(len(batch.row), np.nan) if cells is None else parse_numbers(cells, mapping.columns[name])
        if cells is not None:
            faults.add(_is_given(cells) & ~np.isfinite(value), name, "is not a finite number")
            faults.add(np.abs(value) > limit, name, f"must lie between -{limit:.0f} and {limit:.0f} degrees")
        degrees.append(value)
    lat, long = degrees
    faults.add(np.isnan(lat) & ~np.isnan(long), "lat", "is required with long")
    faults.add(np.isnan(long) & ~np.isnan(lat), "long", "is required with lat")
    return pa.array(lat, mask=np.isnan(lat)), pa.array(long, mask=np.isnan(long))


def _label(batch: SourceBatch, mapping: ColumnMapping, faults: Faults) -> pa.Array:
    cells = _cells(batch, mapping, "is_fraud")
    if cells is None:
        return pa.nulls(len(batch.row), pa.int8())
    text = to_text(cells, mapping.columns["is_fraud"])
    fraud = pc.is_in(text, value_set=pa.array(mapping.labels.fraud, pa.string()))
    legit = pc.is_in(text, value_set=pa.array(mapping.labels.legit, pa.string()))
    unknown = pc.and_(text.is_valid(), pc.invert(pc.or_(fraud, legit)))
    faults.add(_numpy(unknown), "is_fraud", "is none of the labels of the mapping")
    return pc.if_else(text.is_valid(), fraud.cast(pa.int8()), pa.scalar(None, pa.int8()))


def _known_labels(
    batch: SourceBatch, mapping: ColumnMapping, is_fraud: pa.Array, now_ms: int, faults: Faults
) -> pa.Array:
    """Return a list of one verdict where a label comes with its time of knowing, null elsewhere."""
    cells = _cells(batch, mapping, "label_known_at")
    if cells is None:
        return pa.nulls(len(batch.row), KNOWN_LABELS)
    time_ms, known = parse_event_times(cells, mapping.timestamp, mapping.columns["label_known_at"])
    given = _is_given(cells)
    faults.add(given & ~known, "label_known_at", "is not a time as the mapping describes it")
    plausible = (time_ms >= EARLIEST_EVENT_TIME_MS) & (time_ms <= now_ms + MAX_CLOCK_SKEW_MS)
    faults.add(given & ~plausible, "label_known_at", "must lie between 2000-01-01 and a day from now")
    faults.add(given & _numpy(is_fraud.is_null()), "label_known_at", "is given without a label")
    recorded = given & known & _numpy(is_fraud.is_valid())
    verdicts = pa.StructArray.from_arrays(
        [
            pa.array(time_ms[recorded]).cast(pa.timestamp("ms", tz="UTC")),
            is_fraud.filter(pa.array(recorded)),
        ],
        fields=list(KNOWN_LABELS.value_type),
    )
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(recorded)]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(offsets), verdicts, type=KNOWN_LABELS)
    return pc.if_else(pa.array(recorded), lists, pa.scalar(None, KNOWN_LABELS))


def _arrival(batch: SourceBatch, mapping: ColumnMapping, faults: Faults) -> pa.Array:
    cells = _cells(batch, mapping, "arrival")
    if cells is None:
        return pa.nulls(len(batch.row), pa.int64())
    number = parse_numbers(cells, mapping.columns["arrival"])
    given = _is_given(cells)
    whole = (number == np.rint(number)) & (np.abs(number) < 2.0**53)
    faults.add(given & ~whole, "arrival", "must be a whole number")
    sound = given & whole
    return pa.array(np.where(sound, number, 0.0).astype(np.int64), mask=~sound)


def _is_given(cells: pa.Array) -> Bools:
    """Return where cells (n,) hold something; NaN in a column of floats stands for null, as pandas writes it."""
    floating = pa.types.is_floating(cells.type)
    return ~_numpy(cells.is_null(nan_is_null=True) if floating else cells.is_null())


def _numpy(mask: pa.Array) -> Bools:
    array: Bools = mask.to_numpy(zero_copy_only=False)
    return array
