"""The payments that the scenarios send: customers of a heavy-tailed distribution, each with habits of its own.

A few customers pay often, most hardly ever (Zipf-Mandelbrot). Each has its own places, merchants, devices and
amounts, so that windows, velocities and ratios are those of real traffic.
"""

import random
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from typing import Any, Final

CITIES: Final = ((52.37, 4.90), (48.86, 2.35), (51.51, -0.13), (40.71, -74.01), (12.97, 77.59), (35.68, 139.69))
CATEGORIES: Final = ("grocery", "electronics", "travel", "fuel", "restaurants", "clothing")
TRAVEL_SHARE: Final = 0.02
"""Share of payments that a customer makes in another city than its own."""


@dataclass(frozen=True, slots=True)
class Customer:
    """What one customer's payments have in common."""

    customer_id: str
    home: tuple[float, float]
    mean_amount: float
    merchants: tuple[int, ...]
    devices: tuple[str, ...]


def heavy_tailed(n: int) -> int:
    """Return a rank from 0 to n - 1 with a probability that falls as 1 / (rank + 300) (Zipf-Mandelbrot).

    Of 100,000 customers the busiest pays 57 times as often as the mean. A plain Zipf law would give it one payment
    in twelve: no customer pays so often, and its 4,096 events would be most of what is measured.
    """
    return min(int(300 * ((n + 300) / 300) ** random.random()) - 300, n - 1)


@lru_cache(maxsize=200_000)
def customer_of(rank: int, merchants: int) -> Customer:
    """Return the customer of a rank: the same in every process and every run."""
    own = random.Random(rank)
    return Customer(
        f"L{rank:06d}",
        own.choice(CITIES),
        own.lognormvariate(3.3, 0.7),
        tuple(int(merchants * own.random() ** 3) for _ in range(8)),
        tuple(f"L{rank:06d}-{number}" for number in range(own.choice((1, 1, 2)))),
    )


_RUN: Final = uuid.uuid4().hex[:12]
_NUMBERS: Final = count()


def payment(customers: int, merchants: int) -> dict[str, Any]:
    """Return the body of one payment, made now; no two payments of any run share an id."""
    customer = customer_of(heavy_tailed(customers), merchants)
    merchant = random.choice(customer.merchants)
    city = random.choice(CITIES) if random.random() < TRAVEL_SHARE else customer.home
    return {
        "transaction_id": f"{_RUN}-{next(_NUMBERS)}",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "customer_id": customer.customer_id,
        "merchant_id": f"LM{merchant:05d}",
        "amount": max(0.01, round(customer.mean_amount * random.lognormvariate(0, 0.5), 2)),
        "currency": "EUR",
        "merchant_category": CATEGORIES[merchant % len(CATEGORIES)],
        "device_id": random.choice(customer.devices),
        "lat": round(city[0] + random.gauss(0, 0.05), 6),
        "long": round(city[1] + random.gauss(0, 0.05), 6),
    }
