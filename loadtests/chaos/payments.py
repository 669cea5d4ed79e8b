"""The payments of one trial: ids, customers, devices and merchants of its own, so that each can be counted."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

CUSTOMERS: Final = 20
MERCHANTS: Final = 50
Kind = Literal["customer_id", "device_id", "merchant_id"]
"""What the store counts payments by, as :class:`Payment` calls it."""
PROBE_OFFSET_S: Final = 1
"""How far after the newest payment a probe lies: windows hold what is strictly before."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment, and the bytes that each attempt to have it decided sends.

    Attributes:
        amount_minor: in cents.
        time_s: event time, in seconds since the epoch.
    """

    transaction_id: str
    customer_id: str
    device_id: str
    merchant_id: str
    amount_minor: int
    time_s: float
    body: bytes


def payments(trial: str, seed: int, clock: Any = lambda: datetime.now(UTC).timestamp()) -> Iterator[Payment]:
    """Give payments without end; each is made at the moment that it is asked for.

    Args:
        trial: what all ids begin with; no other trial of the store may have it.
        seed: of customers, merchants and amounts.
        clock: seconds since the epoch.
    """
    choice = random.Random(seed)
    number = 0
    while True:
        customer = f"{trial}-c{choice.randrange(CUSTOMERS)}"
        # One in fifty is far above the others, so that rules fire and reviews are among the decisions.
        minor = choice.randrange(100, 9_000) * (30 if choice.random() < 0.02 else 1)
        time_s = round(clock(), 3)
        yield payment(f"{trial}-{number}", customer, minor, time_s, f"{trial}-m{choice.randrange(MERCHANTS)}")
        number += 1


def payment(transaction_id: str, customer_id: str, amount_minor: int, time_s: float, merchant_id: str) -> Payment:
    """Return a payment with its body; each customer has one device."""
    device_id = f"{customer_id}-d"
    document = {
        "transaction_id": transaction_id,
        "timestamp": time_s,
        "customer_id": customer_id,
        "merchant_id": merchant_id,
        "amount": amount_minor / 100,
        "currency": "EUR",
        "device_id": device_id,
    }
    body = json.dumps(document).encode()
    return Payment(transaction_id, customer_id, device_id, merchant_id, amount_minor, time_s, body)


def probes(trial: str, sent: list[Payment]) -> list[Payment]:
    """Return later payments, whose features say what the store has counted.

    Each customer, with its device, and each merchant makes one at least. All are of one time, so that none counts
    another.
    """
    newest_s = max((one.time_s for one in sent), default=0.0)
    customers, merchants = sorted(per(sent, "customer_id")), sorted(per(sent, "merchant_id"))
    return [
        payment(
            f"{trial}-probe-{number}",
            customers[number % len(customers)],
            100,
            newest_s + PROBE_OFFSET_S,
            merchants[number % len(merchants)],
        )
        for number in range(max(len(customers), len(merchants)))
    ]


def per(sent: Sequence[Payment], kind: Kind) -> Counter[str]:
    """Return how many payments each customer, device or merchant made."""
    return Counter(getattr(one, kind) for one in sent)
