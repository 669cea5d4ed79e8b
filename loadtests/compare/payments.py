"""Random payments like those of predict.lua, and their feature vectors, for bodies that are made beforehand."""

import random
from typing import Any, Final

import numpy as np

from features.formulas import Matrix, feature_matrix
from features.online import OnlineStore
from features.transaction import Transaction, TransactionBatch

CITIES: Final = ((52.37, 4.90), (48.86, 2.35), (51.51, -0.13), (40.71, -74.01), (12.97, 77.59))
ID_MARK: Final = "@" * 12
"""Stands in a transaction id for what bodies.lua makes new with each request."""


def rank(customers: int, chance: random.Random) -> int:
    """Return a customer from 0 to ``customers - 1``, heavy-tailed as in predict.lua."""
    return min(int(300 * ((customers + 300) / 300) ** chance.random()) - 300, customers - 1)


def payment(customer: int, transaction_id: str, time_s: float, chance: random.Random) -> dict[str, Any]:
    """Return the body of one payment of a customer, as predict.lua makes it."""
    lat, long = CITIES[customer % len(CITIES)]
    mean = 5 + customer * 7919 % 60
    return {
        "transaction_id": transaction_id,
        "timestamp": round(time_s, 3),
        "customer_id": f"W{customer:06d}",
        "merchant_id": f"WM{(customer * 7 + chance.randint(1, 8) * 131) % 5000:04d}",
        "amount": round(0.01 + mean * (0.4 + chance.expovariate(3)), 2),
        "currency": "EUR",
        "device_id": f"W{customer:06d}-0",
        "lat": round(lat + (chance.random() - 0.5) / 5, 6),
        "long": round(long + (chance.random() - 0.5) / 5, 6),
    }


def bulk(rows: int, customers: int, now_s: float, chance: random.Random) -> list[dict[str, Any]]:
    """Return the payments of one bulk request, a millisecond apart, with marked ids of equal length."""
    return [
        payment(rank(customers, chance), f"{ID_MARK}-{row:04d}", now_s + row / 1000, chance) for row in range(rows)
    ]


def vectors(store: OnlineStore, bodies: list[dict[str, Any]]) -> Matrix:
    """Return the feature matrix (n, d) of payments as of the store, and count them there."""
    return feature_matrix(
        store.observe(TransactionBatch.of([Transaction.model_validate(body) for body in bodies]))
    )


def history(customers: int, rounds: int, now_s: float, seed: int = 0) -> list[TransactionBatch]:
    """Return ``rounds`` payments of each customer over the last 30 days, in order of time, as batches.

    Args:
        customers: how many have a history.
        rounds: payments of each.
        now_s: seconds since the epoch.
    """
    chance = np.random.default_rng(seed)
    batches: list[TransactionBatch] = []
    for number in range(rounds):
        time_ms = int((now_s - 30 * 86_400 * (rounds - number) / (rounds + 1)) * 1000)
        batches.extend(
            _round(np.arange(start, min(start + _SEED_ROWS, customers)), number, time_ms, chance)
            for start in range(0, customers, _SEED_ROWS)
        )
    return batches


_SEED_ROWS: Final = 1000


def _round(ranks: Any, number: int, time_ms: int, chance: np.random.Generator) -> TransactionBatch:
    n = len(ranks)
    places = np.array(CITIES)[ranks % len(CITIES)] * 1e6
    nothing: list[str | None] = [None] * n
    return TransactionBatch(
        transaction_id=[f"seed-{number}-{customer}" for customer in ranks],
        event_time_ms=np.full(n, time_ms, np.int64) + np.arange(n),
        amount_minor=(100 * (5 + ranks * 7919 % 60) * (0.4 + chance.exponential(1 / 3, n))).astype(np.int64) + 1,
        customer_id=[f"W{customer:06d}" for customer in ranks],
        merchant_id=[f"WM{(customer * 7 + 131) % 5000:04d}" for customer in ranks],
        device_id=[f"W{customer:06d}-0" for customer in ranks],
        lat_udeg=places[:, 0].astype(np.int32),
        long_udeg=places[:, 1].astype(np.int32),
        currency=nothing,
        merchant_category=nothing,
        transaction_type=nothing,
        geo_location=nothing,
    )
