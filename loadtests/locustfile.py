"""Locust scenarios: payment backends that ask for one decision at a time, and clients that send batches.

    locust -f loadtests/locustfile.py --headless -u 32 -r 32 -t 60s

Customers are drawn from a heavy-tailed distribution (Zipf-Mandelbrot): a few pay often, most hardly ever. Each has
its own places, merchants, devices and amounts, so that windows, velocities and ratios are those of real traffic.
An answer counts as a success when its body is what was asked for; the status alone is not enough.
"""

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from typing import Any, Final

from locust import FastHttpUser, events, task
from locust.argument_parser import LocustArgumentParser

CITIES: Final = ((52.37, 4.90), (48.86, 2.35), (51.51, -0.13), (40.71, -74.01), (12.97, 77.59), (35.68, 139.69))
CATEGORIES: Final = ("grocery", "electronics", "travel", "fuel", "restaurants", "clothing")
DECISIONS: Final = ("APPROVE", "REVIEW", "BLOCK")
TRAVEL_SHARE: Final = 0.02
"""Share of payments that a customer makes in another city than its own."""
WRONG_BODY: Final = "200 with a wrong body"


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    """Declare the options of these scenarios; ``locust --help`` and the web form show them."""
    parser.add_argument("--customers", type=int, env_var="LOCUST_CUSTOMERS", default=100_000, help="Customers.")
    parser.add_argument("--merchants", type=int, env_var="LOCUST_MERCHANTS", default=5_000, help="Merchants.")
    parser.add_argument(
        "--batch-size", type=int, env_var="LOCUST_BATCH_SIZE", default=100, help="Transactions a batch request."
    )
    parser.add_argument(
        "--think-time-ms",
        type=float,
        env_var="LOCUST_THINK_TIME_MS",
        default=0.0,
        help="Pause of a user between two requests; 0 asks for all that the service can do.",
    )


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


def fault_of(answer: Any, asked: dict[str, Any]) -> str:
    """Return what is wrong with the answer to a payment, or "" when nothing is."""
    if not isinstance(answer, dict) or answer.get("transaction_id") != asked["transaction_id"]:
        return f"{WRONG_BODY}: another transaction_id"
    if answer.get("decision") not in DECISIONS:
        return f"{WRONG_BODY}: no decision"
    if answer.get("degraded"):
        return f"degraded: {', '.join(answer['degraded'])}"
    probability = answer.get("fraud_probability")
    if not isinstance(probability, float | int) or not 0 <= probability <= 1:
        return f"{WRONG_BODY}: no probability"
    return ""


class _Client(FastHttpUser):
    abstract = True
    host = "http://127.0.0.1:8000"
    network_timeout = 10.0
    connection_timeout = 5.0

    def wait_time(self) -> float:
        pause_ms: float = self._options.think_time_ms
        return pause_ms / 1000

    @property
    def _options(self) -> Any:
        return self.environment.parsed_options

    def _payment(self) -> dict[str, Any]:
        return payment(self._options.customers, self._options.merchants)


class PaymentBackend(_Client):
    """Asks for one decision at a time: nine of ten users."""

    weight = 9

    @task
    def predict(self) -> None:
        """POST /predict."""
        body = self._payment()
        with self.client.post("/predict", json=body, catch_response=True) as response:
            check(response, lambda answer: [fault_of(answer, body)])


class BulkClient(_Client):
    """Sends batches: one of ten users."""

    weight = 1

    @task
    def predict_batch(self) -> None:
        """POST /predict/batch."""
        bodies = [self._payment() for _ in range(self._options.batch_size)]
        with self.client.post("/predict/batch", json=bodies, catch_response=True) as response:
            check(response, lambda answer: batch_faults(answer, bodies))


def batch_faults(answer: Any, asked: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is wrong with each item of the answer to a batch."""
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != len(asked):
        return [f"{WRONG_BODY}: not as many results as transactions"]
    return [fault_of(result, body) for result, body in zip(results, asked, strict=True)]


def check(response: Any, faults: Callable[[Any], list[str]]) -> None:
    """Mark a response as failed unless its status is 200 and its body has no fault."""
    if response.status_code != 200:
        response.failure(f"status {response.status_code}: {(response.text or '')[:200]}")
        return
    try:
        answer = response.json()
    except ValueError:
        response.failure(f"{WRONG_BODY}: not JSON")
        return
    if found := next(filter(None, faults(answer)), ""):
        response.failure(found)
