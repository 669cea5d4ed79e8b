"""A service that decides as told, behind an httpx transport; and payments and attempts in short."""

import json
from collections.abc import Callable
from typing import Any

import httpx

from loadtests.chaos.asked import Asked, Attempt, Told
from loadtests.chaos.payments import Payment, payment

TOLD = Told("APPROVE", 0.25, "3")


class Service:
    """Answers POST /predict: by what ``script`` gives for the n-th request (from 0), else with a decision.

    Attributes:
        bodies: of all requests, in order.
    """

    def __init__(self, script: dict[int, Callable[[], httpx.Response]] | None = None) -> None:
        self.bodies: list[bytes] = []
        self._script = script or {}
        self._decided: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        number = len(self.bodies)
        self.bodies.append(request.content)
        if number in self._script:
            return self._script[number]()
        return httpx.Response(200, json=self.decision(json.loads(request.content)["transaction_id"]))

    def decision(self, transaction_id: str) -> dict[str, Any]:
        """Return the answer on an id; from the second on it is a duplicate."""
        duplicate = transaction_id in self._decided
        self._decided.add(transaction_id)
        return {
            "transaction_id": transaction_id,
            "decision": TOLD.decision,
            "fraud_probability": TOLD.probability,
            "model_version": TOLD.model_version,
            "duplicate": duplicate,
            "degraded": [],
        }


def busy() -> httpx.Response:
    return httpx.Response(503, json={"error": {"code": "overloaded"}}, headers={"retry-after": "0"})


def broken_connection() -> httpx.Response:
    raise httpx.ReadError("the connection is gone")


def a_payment(number: int = 0, customer: str = "c0", minor: int = 100, merchant: str = "m0") -> Payment:
    return payment(f"p-{number}", customer, minor, 1000.0 + number, merchant)


def attempt(status: int = 200, told: Told | None = TOLD, ended_s: float = 1.0, **values: Any) -> Attempt:
    return Attempt(0.0, ended_s, status, told=told if status == 200 else None, **values)


def asked(*attempts: Attempt, number: int = 0, customer: str = "c0") -> Asked:
    return Asked(a_payment(number, customer), list(attempts))
