"""The payments of one trial: own ids and own customers, so that what became of each of them can be counted."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

CUSTOMERS: Final = 20
MERCHANTS: Final = 50
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
    amount_minor: int
    time_s: float
    body: bytes


def payments(trial: str, seed: int, clock: Any = lambda: datetime.now(UTC).timestamp()) -> Iterator[Payment]:
    """Give payments without end; each is made at the moment that it is asked for.

    Args:
        trial: what ids and customers begin with; no other trial of the store may have it.
        seed: of customers and amounts.
        clock: seconds since the epoch.
    """
    choice = random.Random(seed)
    number = 0
    while True:
        customer = f"{trial}-c{choice.randrange(CUSTOMERS)}"
        # One in fifty is far above the others, so that rules fire and reviews are among the decisions.
        minor = choice.randrange(100, 9_000) * (30 if choice.random() < 0.02 else 1)
        yield payment(f"{trial}-{number}", customer, minor, round(clock(), 3), choice.randrange(MERCHANTS))
        number += 1


def payment(transaction_id: str, customer_id: str, amount_minor: int, time_s: float, merchant: int) -> Payment:
    """Return a payment with its body."""
    document = {
        "transaction_id": transaction_id,
        "timestamp": time_s,
        "customer_id": customer_id,
        "merchant_id": f"chaos-{merchant}",
        "amount": amount_minor / 100,
        "currency": "EUR",
        "device_id": f"{customer_id}-d",
    }
    return Payment(transaction_id, customer_id, amount_minor, time_s, json.dumps(document).encode())


def probes(trial: str, sent: list[Payment]) -> list[Payment]:
    """Return one later payment a customer, whose features say what the store has counted of the customer."""
    newest_s = max((one.time_s for one in sent), default=0.0)
    customers = sorted({one.customer_id for one in sent})
    return [
        payment(f"{trial}-probe-{number}", customer, 100, newest_s + PROBE_OFFSET_S, 0)
        for number, customer in enumerate(customers)
    ]


def per_customer(sent: list[Payment]) -> Counter[str]:
    """Return how many payments each customer made."""
    return Counter(one.customer_id for one in sent)
