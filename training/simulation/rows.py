"""Simulated transactions as columns of numbers, and their conversion to the history's own columns."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from features.history import HISTORY_SCHEMA, KNOWN_LABELS
from training.simulation.places import CATEGORIES, CITIES
from training.simulation.population import NONE, Customers, Floats, Ints, Merchants

FRAUD_PATTERNS: Final = (
    "card_testing",
    "account_takeover",
    "compromised_merchant",
    "bust_out",
    "device_farm",
)
TYPES: Final = ("pos", "online", "transfer", "withdrawal")
POS, ONLINE, TRANSFER, WITHDRAWAL = range(len(TYPES))


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n simulated transactions.

    Attributes:
        time_ms: (n,) event time in milliseconds since the start of the simulation.
        customer, merchant, device: (n,) numbers; NONE where there is no merchant or device.
        amount: (n,) major units, not yet rounded.
        kind: (n,) index into TYPES.
        city: (n,) index into CITIES; NONE where the place is unknown.
        lat, long: (n,) degrees; NaN where the place is unknown.
        pattern: (n,) 0 for ordinary ones, else 1 + index into FRAUD_PATTERNS.
    """

    time_ms: Ints
    customer: Ints
    merchant: Ints
    device: Ints
    amount: Floats
    kind: Ints
    city: Ints
    lat: Floats
    long: Floats
    pattern: Ints

    def __len__(self) -> int:
        return len(self.time_ms)

    def take(self, index: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Rows":
        """Return the rows at an index or under a mask."""
        return Rows(*(getattr(self, field.name)[index] for field in fields(self)))

    @classmethod
    def concat(cls, parts: Sequence["Rows"]) -> "Rows":
        """Return the rows of all parts, one after the other."""
        return cls(*(np.concatenate([getattr(p, field.name) for p in parts]) for field in fields(cls)))


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """The ids of everything that has a number: their order says nothing about what they name."""

    customers: pa.Array
    merchants: pa.Array
    devices: pa.Array

    @classmethod
    def of(cls, rng: np.random.Generator, customers: int, merchants: int, devices: int) -> "Names":
        """Return ids in shuffled order, so that no id betrays an attacker who came last into the world."""
        return cls(
            _ids("C", rng.permutation(customers)),
            _ids("M", rng.permutation(merchants)),
            _ids("D", rng.permutation(devices)),
        )


def rows_to_history(
    rows: Rows, first_number: int, start_ms: int, customers: Customers, merchants: Merchants, names: Names
) -> pa.Table:
    """Return rows sorted by time as a table of ``HISTORY_SCHEMA``; the transactions count from first_number."""
    n = len(rows)
    category = np.where(rows.merchant == NONE, NONE, merchants.category[rows.merchant])
    columns = {
        "transaction_id": _ids("T", np.arange(first_number, first_number + n), width=9),
        "event_time": pa.array(start_ms + rows.time_ms).cast(pa.timestamp("ms", tz="UTC")),
        "customer_id": names.customers.take(pa.array(rows.customer)),
        "merchant_id": _words(names.merchants, rows.merchant),
        "device_id": _words(names.devices, rows.device),
        "amount_minor": pa.array(np.maximum(np.rint(rows.amount * 100), 1).astype(np.int64)),
        "currency": _words([city.currency for city in CITIES], customers.city[rows.customer]),
        "merchant_category": _words([category.name for category in CATEGORIES], category),
        "transaction_type": _words(TYPES, rows.kind),
        "geo_location": _words([city.region for city in CITIES], rows.city),
        # Four decimals are 11 metres: what a phone's location is good for.
        "lat": pa.array(np.round(rows.lat, 4), mask=np.isnan(rows.lat)),
        "long": pa.array(np.round(rows.long, 4), mask=np.isnan(rows.long)),
        "is_fraud": pa.array((rows.pattern > 0).astype(np.int8)),
        "fraud_pattern": _words(FRAUD_PATTERNS, rows.pattern - 1),
        "arrival": pa.nulls(n, pa.int64()),
        "known_labels": pa.nulls(n, KNOWN_LABELS),
    }
    return pa.table([columns[name] for name in HISTORY_SCHEMA.names], schema=HISTORY_SCHEMA)


def _words(words: Sequence[str] | pa.Array, index: Ints) -> pa.Array:
    """Return words[index], null where the index is NONE."""
    words = words if isinstance(words, pa.Array) else pa.array(words, pa.string())
    return words.take(pa.array(index, mask=index == NONE))


def _ids(letter: str, numbers: Ints, width: int = 7) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(letter, digits, "")
