"""The contract at the door for many rows at once: whole columns are checked, and only rows in doubt one by one.

The contract has one definition, :class:`features.transaction.Transaction` and ``check_transaction``. A check of
columns here only says which rows are *surely* good; every other row goes through the contract itself, which then
either admits it or says what is wrong. So a bulk row cannot be judged otherwise than a single transaction.

:mod:`features.json_rows` and :mod:`features.arrow_rows` make the columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from features.errors import InvalidTransaction
from features.transaction import (
    EARLIEST_EVENT_TIME_MS,
    EPOCH,
    MAX_AMOUNT,
    MAX_CLOCK_SKEW_MS,
    NO_PLACE,
    TEXT_COLUMNS,
    Int64s,
    Transaction,
    TransactionBatch,
    amounts_to_minor,
    assigned_ids,
    check_transaction,
)

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Texts = list[str | None]
Fault = InvalidTransaction | ValidationError
"""Why a row breaks the contract."""

FIELDS: Final = frozenset(Transaction.model_fields)
REQUIRED_TEXT: Final = "customer_id"
TEXT_FIELDS: Final = ("transaction_id", *TEXT_COLUMNS)
MAX_TEXT: Final = 64
"""Longest id or word, in characters, as the contract has it."""
MAX_FIELDS: Final = 64
"""Fields of an object that is validated at all: a megabyte of unknown ones would take seconds."""
NO_TIME_MS: Final = -1
"""Stands for an event time in doubt; no transaction was made in 1969."""

_LENIENT: Final = ConfigDict(val_temporal_unit="seconds")
_TIME: Final[TypeAdapter[datetime]] = TypeAdapter(Annotated[datetime, Field(strict=False)], config=_LENIENT)
_TIMES: Final[TypeAdapter[list[datetime]]] = TypeAdapter(
    Annotated[list[datetime], Field(fail_fast=True)], config=_LENIENT
)


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """n rows as columns, not yet checked as a whole.

    Attributes:
        texts: ``TEXT_FIELDS`` -> n texts or None, each of 1 to ``MAX_TEXT`` characters unless its row is doubtful.
        event_time_ms: (n,) milliseconds since the epoch; ``NO_TIME_MS`` where in doubt.
        amount: (n,) major units; NaN where absent or in doubt.
        lat, long: (n,) degrees; NaN where absent or in doubt.
        doubtful: (n,) rows that the contract itself must judge.
    """

    texts: dict[str, Texts]
    event_time_ms: Int64s
    amount: Floats
    lat: Floats
    long: Floats
    doubtful: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """What became of n rows.

    Attributes:
        batch: the m admitted rows, in their order.
        rows: (m,) the place of each among the n.
        assigned: for each of the m, whether its transaction_id was assigned here.
        faults: row -> why it was refused.
    """

    batch: TransactionBatch
    rows: Int64s
    assigned: list[bool]
    faults: dict[int, Fault]

    @classmethod
    def concat(cls, parts: Sequence["Admitted"], lengths: Sequence[int]) -> "Admitted":
        """Return the parts, each of a number of rows, as one."""
        if len(parts) == 1:
            return parts[0]
        firsts = [sum(lengths[:at]) for at in range(len(lengths))]
        return cls(
            batch=TransactionBatch.concat([part.batch for part in parts]),
            rows=np.concatenate([part.rows + first for part, first in zip(parts, firsts, strict=True)]),
            assigned=[is_assigned for part in parts for is_assigned in part.assigned],
            faults={
                first + row: fault
                for part, first in zip(parts, firsts, strict=True)
                for row, fault in part.faults.items()
            },
        )


def admit(columns: Columns, row: Callable[[int], Any], now_ms: int) -> Admitted:
    """Return the rows that the contract admits as a batch, and what is wrong with the others.

    Args:
        row: gives a row in doubt as the contract wants it, an object with a value a field.
        now_ms: the time, for the check of event times.
    """
    sure = ~columns.doubtful & _plausible(columns, now_ms)
    if sure.all():
        batch, assigned = _batch(columns)
        return Admitted(batch, np.arange(len(sure)), assigned, {})
    late: list[Transaction] = []
    late_rows: list[int] = []
    faults: dict[int, Fault] = {}
    for at in np.flatnonzero(~sure).tolist():
        try:
            late.append(admit_one(row(at), now_ms))
            late_rows.append(at)
        except (InvalidTransaction, ValidationError) as fault:
            faults[at] = fault
    rows = np.flatnonzero(sure)
    batch, assigned = _batch(_chosen(columns, rows))
    if late:
        rows = np.concatenate([rows, late_rows])
        order = np.argsort(rows)
        assigned += [transaction.transaction_id is None for transaction in late]
        batch = TransactionBatch.concat([batch, TransactionBatch.of(late)]).take(order.tolist())
        rows, assigned = rows[order], [assigned[at] for at in order.tolist()]
    return Admitted(batch, rows, assigned, faults)


def admit_one(value: Any, now_ms: int) -> Transaction:
    """Return one row as a transaction.

    Raises:
        InvalidTransaction, ValidationError: it breaks the contract.
    """
    check_width(value)
    transaction = Transaction.model_validate(value)
    check_transaction(transaction, now_ms)
    return transaction


def check_width(value: Any) -> None:
    """Check that an object has no absurd number of fields.

    Raises:
        InvalidTransaction: it has.
    """
    if isinstance(value, dict) and len(value) > MAX_FIELDS:
        raise InvalidTransaction("body", f"has {len(value)} fields; a transaction has far fewer")


def checked_texts(name: str, column: list[Any], doubtful: Bools) -> Texts:
    """Return a column of texts, None in place of what is no good text; marks the rows of those in ``doubtful``."""
    if _are_good_texts(name, column):
        return column
    good = [_is_good_text(name, value) for value in column]
    np.logical_or(doubtful, np.logical_not(good), out=doubtful)
    return [value if is_good else None for value, is_good in zip(column, good, strict=True)]


def times_of_numbers(seconds: Floats) -> Int64s:
    """Return epoch seconds (n,) in milliseconds; ``NO_TIME_MS`` for what no event time can be.

    As pydantic reads a number: to the nearest microsecond.

    >>> times_of_numbers(np.array([1770345000.0, 1770345000.4999, np.nan])).tolist()
    [1770345000000, 1770345000499, -1]
    """
    good = (seconds > 0) & (seconds < 1e11)
    seconds = np.where(good, seconds, 0)
    whole = np.floor(seconds)
    microseconds = whole.astype(np.int64) * 1_000_000 + np.rint((seconds - whole) * 1e6).astype(np.int64)
    return np.where(good, microseconds // 1000, NO_TIME_MS)


def times_of_values(values: list[Any], doubtful: Bools) -> Int64s:
    """Return event times (n,) in milliseconds, read by the parser of the contract; marks what it cannot read."""
    try:
        return _milliseconds(_TIMES.validate_python(values))
    except ValidationError:
        read = [_time_or_none(value) for value in values]
    unread = np.array([time is None for time in read])
    np.logical_or(doubtful, unread, out=doubtful)
    return np.where(unread, NO_TIME_MS, _milliseconds([EPOCH if time is None else time for time in read]))


def _plausible(columns: Columns, now_ms: int) -> Bools:
    """Return the rows (n,) whose numbers are surely good; a comparison with NaN is False."""
    time_ms, amount, lat, long = columns.event_time_ms, columns.amount, columns.lat, columns.long
    placeless = np.isnan(lat) & np.isnan(long)
    placed = (np.abs(lat) <= 90) & (np.abs(long) <= 180)
    good: Bools = (time_ms >= EARLIEST_EVENT_TIME_MS) & (time_ms <= now_ms + MAX_CLOCK_SKEW_MS)
    # Of less than 0.0051, which may round to no cent, the contract itself has the word.
    good &= (amount > 0.0051) & (amount <= MAX_AMOUNT) & (placeless | placed)
    return good


def _batch(columns: Columns) -> tuple[TransactionBatch, list[bool]]:
    """Return rows that are all good as a batch, and for each whether its transaction_id was assigned."""
    texts = columns.texts
    ids = texts["transaction_id"]
    assigned = [i is None for i in ids]
    if True in assigned:
        ids = [new if own is None else own for own, new in zip(ids, assigned_ids(len(ids)), strict=True)]
    batch = TransactionBatch(
        transaction_id=ids,  # type: ignore[arg-type]
        event_time_ms=columns.event_time_ms,
        amount_minor=amounts_to_minor(columns.amount),
        customer_id=texts["customer_id"],  # type: ignore[arg-type]
        merchant_id=texts["merchant_id"],
        device_id=texts["device_id"],
        lat_udeg=_udeg(columns.lat),
        long_udeg=_udeg(columns.long),
        currency=texts["currency"],
        merchant_category=texts["merchant_category"],
        transaction_type=texts["transaction_type"],
        geo_location=texts["geo_location"],
    )
    return batch, assigned


def _chosen(columns: Columns, rows: Int64s) -> Columns:
    index = rows.tolist()
    return Columns(
        texts={name: [column[at] for at in index] for name, column in columns.texts.items()},
        event_time_ms=columns.event_time_ms[rows],
        amount=columns.amount[rows],
        lat=columns.lat[rows],
        long=columns.long[rows],
        doubtful=columns.doubtful[rows],
    )


def _udeg(degrees: Floats) -> npt.NDArray[np.int32]:
    return np.where(np.isnan(degrees), NO_PLACE, np.rint(np.nan_to_num(degrees) * 1e6)).astype(np.int32)


def _are_good_texts(name: str, column: list[Any]) -> bool:
    """Return whether every value is good, at the speed of compiled code."""
    kinds = set(map(type, column))
    if kinds == {type(None)}:
        return name != REQUIRED_TEXT
    if kinds == {str}:
        present = column
    elif kinds == {str, type(None)} and name != REQUIRED_TEXT:
        present = [text for text in column if text is not None]
    else:
        return False
    if name == "currency":
        return all(_is_currency(word) for word in set(present))
    return min(map(len, present)) > 0 and max(map(len, present)) <= MAX_TEXT


def _is_good_text(name: str, value: Any) -> bool:
    if value is None:
        return name != REQUIRED_TEXT
    if type(value) is not str or not 0 < len(value) <= MAX_TEXT:
        return False
    return name != "currency" or _is_currency(value)


def _is_currency(word: str) -> bool:
    return len(word) == 3 and word.isascii() and word.isalpha()


def _time_or_none(value: Any) -> datetime | None:
    try:
        return _TIME.validate_python(value)
    except ValidationError:
        return None


def _milliseconds(times: list[datetime]) -> Int64s:
    # A time without an offset is UTC for Arrow, too.
    microseconds = pa.array(times, pa.timestamp("us", "UTC")).cast(pa.int64())
    milliseconds: Int64s = microseconds.to_numpy(zero_copy_only=False) // 1000
    return milliseconds
