"""What counts as a success: a body that is what was asked for; the status alone is not enough."""

from collections.abc import Callable, Sequence
from typing import Any, Final

DECISIONS: Final = ("APPROVE", "REVIEW", "BLOCK")
WRONG_BODY: Final = "200 with a wrong body"


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
