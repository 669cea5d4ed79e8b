"""The transaction: its contract at the door (one object) and its columns (a batch).

A transaction is validated once, at the ingress, as a :class:`Transaction`. From there on a micro-batch travels
as a :class:`TransactionBatch`: one array or list a column, never one object a row.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from features.errors import InvalidTransaction

Int64s = npt.NDArray[np.int64]

MAX_AMOUNT: Final = 1_000_000_000
"""Largest amount, in major units: with it every sum over a full event log stays an exact float64."""

EARLIEST_EVENT_TIME_MS: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp() * 1000)
MAX_CLOCK_SKEW_MS: Final = 24 * 3_600_000
"""How far a client's clock may run ahead of ours, in milliseconds."""

NO_PLACE: Final = np.iinfo(np.int32).min
"""Stands for an absent coordinate in the ``*_udeg`` columns."""

TEXT_COLUMNS: Final = (
    "customer_id",
    "merchant_id",
    "device_id",
    "currency",
    "merchant_category",
    "transaction_type",
    "geo_location",
)
"""The columns of text of a payment, all but its own id. Claims in the store have them in this order."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_NAIVE: Final = datetime(1970, 1, 1)
_MILLISECOND: Final = timedelta(milliseconds=1)

_Id = Annotated[str, Field(min_length=1, max_length=64)]
_Word = Annotated[str, Field(min_length=1, max_length=64)]


class Transaction(BaseModel):
    """One payment as a client sends it. Unknown fields, NaN, infinities and wrong types are refused."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, val_temporal_unit="seconds", frozen=True
    )

    transaction_id: _Id | None = Field(
        None, description="Idempotency key; the server assigns one when it is absent."
    )
    timestamp: datetime = Field(
        strict=False, description="Event time: ISO 8601 or epoch seconds. Without an offset it is UTC."
    )
    customer_id: _Id
    merchant_id: _Id | None = Field(None, description="Terminal or shop.")
    amount: float = Field(gt=0, le=MAX_AMOUNT, description="In major units; two decimals are counted.")
    currency: Annotated[str, Field(pattern="^[A-Za-z]{3}$")] | None = Field(None, description="ISO 4217 code.")
    merchant_category: _Word | None = None
    transaction_type: _Word | None = None
    device_id: _Id | None = None
    geo_location: _Word | None = None
    lat: float | None = Field(None, ge=-90, le=90, description="Degrees north; needs long.")
    long: float | None = Field(None, ge=-180, le=180, description="Degrees east; needs lat.")


def event_time_ms(timestamp: datetime) -> int:
    """Return the event time in whole milliseconds since the epoch; a naive timestamp is UTC.

    >>> event_time_ms(datetime(1970, 1, 1, 0, 0, 1))
    1000
    """
    return (timestamp - (EPOCH_NAIVE if timestamp.tzinfo is None else EPOCH)) // _MILLISECOND


def amount_to_minor(amount: float) -> int:
    """Return an amount in integer minor units, rounded half to even on the cent.

    >>> amount_to_minor(25.5)
    2550
    """
    return round(amount * 100)


def amounts_to_minor(amounts: npt.NDArray[np.float64]) -> Int64s:
    """Return amounts (n,) in integer minor units; the column form of :func:`amount_to_minor`."""
    return np.rint(amounts * 100).astype(np.int64)


def degrees_to_udeg(degrees: float | None) -> int:
    """Return a coordinate in integer micro-degrees (0.11 m), or ``NO_PLACE`` for None."""
    return NO_PLACE if degrees is None else round(degrees * 1e6)


def assigned_ids(n: int) -> list[str]:
    """Return n new transaction ids: 32 hex digits each, at random."""
    digits = os.urandom(16 * n).hex()
    return [digits[at : at + 32] for at in range(0, 32 * n, 32)]


def transaction_hash(transaction_id: str) -> int:
    """Return the 64-bit hash under which an event log remembers a transaction. Never 0.

    BLAKE2b rather than :func:`hash`, which Python salts anew in each process.
    """
    return int.from_bytes(hashlib.blake2b(transaction_id.encode(), digest_size=8).digest(), "little") or 1


def transaction_hashes(transaction_ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return the hashes (n,) of ids; the column form of :func:`transaction_hash`."""
    digests = [hashlib.blake2b(i.encode(), digest_size=8).digest() for i in transaction_ids]
    hashes = np.frombuffer(b"".join(digests), "<u8").copy()
    hashes[hashes == 0] = 1
    return hashes


def check_transaction(transaction: Transaction, now_ms: int) -> None:
    """Check what a schema cannot say: the date is plausible, a place is whole, the amount is a cent or more.

    Raises:
        InvalidTransaction: naming the field.
    """
    time_ms = event_time_ms(transaction.timestamp)
    if not EARLIEST_EVENT_TIME_MS <= time_ms <= now_ms + MAX_CLOCK_SKEW_MS:
        raise InvalidTransaction(
            "timestamp", "must lie between 2000-01-01 and a day from now (ISO 8601 or epoch seconds)"
        )
    if amount_to_minor(transaction.amount) == 0:
        raise InvalidTransaction("amount", "must be at least 0.01 when rounded to two decimals")
    if (transaction.lat is None) != (transaction.long is None):
        missing, given = ("lat", "long") if transaction.lat is None else ("long", "lat")
        raise InvalidTransaction(missing, f"is required with {given}")


@dataclass(frozen=True, slots=True, eq=False)
class TransactionBatch:
    """A micro-batch of n transactions as columns, in the order of their arrival.

    Attributes:
        transaction_id: n ids, never absent here.
        event_time_ms: (n,) int64, milliseconds since the epoch, UTC.
        amount_minor: (n,) int64, integer minor units (cents), > 0.
        customer_id: n ids.
        merchant_id: n ids or None.
        device_id: n ids or None.
        lat_udeg, long_udeg: (n,) int32, micro-degrees; ``NO_PLACE`` where no place was given.
        currency, merchant_category, transaction_type, geo_location: n words or None; for rules alone.
    """

    transaction_id: list[str]
    event_time_ms: Int64s
    amount_minor: Int64s
    customer_id: list[str]
    merchant_id: list[str | None]
    device_id: list[str | None]
    lat_udeg: npt.NDArray[np.int32]
    long_udeg: npt.NDArray[np.int32]
    currency: list[str | None]
    merchant_category: list[str | None]
    transaction_type: list[str | None]
    geo_location: list[str | None]

    def __len__(self) -> int:
        return len(self.transaction_id)

    @classmethod
    def of(cls, transactions: Sequence[Transaction]) -> "TransactionBatch":
        """Return validated transactions as columns; an absent transaction_id is assigned here."""
        return cls(
            transaction_id=[t.transaction_id or assigned_ids(1)[0] for t in transactions],
            event_time_ms=np.array([event_time_ms(t.timestamp) for t in transactions], np.int64),
            amount_minor=np.array([amount_to_minor(t.amount) for t in transactions], np.int64),
            customer_id=[t.customer_id for t in transactions],
            merchant_id=[t.merchant_id for t in transactions],
            device_id=[t.device_id for t in transactions],
            lat_udeg=np.array([degrees_to_udeg(t.lat) for t in transactions], np.int32),
            long_udeg=np.array([degrees_to_udeg(t.long) for t in transactions], np.int32),
            currency=[t.currency for t in transactions],
            merchant_category=[t.merchant_category for t in transactions],
            transaction_type=[t.transaction_type for t in transactions],
            geo_location=[t.geo_location for t in transactions],
        )

    @classmethod
    def concat(cls, batches: Sequence["TransactionBatch"]) -> "TransactionBatch":
        """Return batches, at least one, laid end to end; one alone is returned as it is."""
        if len(batches) == 1:
            return batches[0]
        columns: dict[str, Any] = {}
        for name in _COLUMN_NAMES:
            parts = [getattr(batch, name) for batch in batches]
            columns[name] = np.concatenate(parts) if isinstance(parts[0], np.ndarray) else [*chain(*parts)]
        return cls(**columns)

    def slice(self, start: int, stop: int) -> "TransactionBatch":
        """Return the rows from ``start`` to before ``stop``: arrays as views, lists of references as copies."""
        if start == 0 and stop >= len(self):
            return self
        return TransactionBatch(**{name: getattr(self, name)[start:stop] for name in _COLUMN_NAMES})

    def take(self, rows: Iterable[int]) -> "TransactionBatch":
        """Return the given rows as a batch of their own, in the given order."""
        index = list(rows)
        columns: dict[str, Any] = {}
        for name in _COLUMN_NAMES:
            column = getattr(self, name)
            columns[name] = column[index] if isinstance(column, np.ndarray) else [column[i] for i in index]
        return TransactionBatch(**columns)


_COLUMN_NAMES: Final = tuple(field.name for field in fields(TransactionBatch))
