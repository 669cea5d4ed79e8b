"""The answers of the API: their schema for the documentation, and their bytes for the wire."""

import math
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic_core import to_json

from deployments.decision import DECISION_NAMES, Decisions
from deployments.errors import ErrorBody
from features.definitions import FEATURE_NAMES
from features.transaction import TransactionBatch


class ReasonCode(BaseModel):
    """Why a payment was not approved, in words."""

    source: Literal["rule", "model"]
    code: str
    text: str


class ModelScores(BaseModel):
    """Fraud probability of each model; null where it did not answer."""

    lr: float | None
    xgb: float | None


class Prediction(BaseModel):
    """The decision on one transaction; ``duplicate`` says that it was made before, for the same id and body."""

    transaction_id: str
    transaction_id_assigned: bool
    prediction: Literal["FRAUD", "LEGIT"]
    decision: Literal["BLOCK", "REVIEW", "APPROVE"]
    fraud_probability: float | None
    model_scores: ModelScores
    rules: list[str]
    explanation: list[ReasonCode]
    model_version: str
    degraded: list[str]
    duplicate: bool
    features: dict[str, float] | None = None


class ItemError(BaseModel):
    """Why one item of a batch was not decided; its neighbours are unharmed."""

    index: int
    error: ErrorBody


class ItemPrediction(Prediction):
    """The decision on one item of a batch."""

    index: int


class BatchResponse(BaseModel):
    """Answers of POST /predict/batch, in the order of the request."""

    decided: int
    failed: int
    results: list[ItemPrediction | ItemError]


EXAMPLE_REQUEST: Final[dict[str, Any]] = {
    "transaction_id": "t-1001",
    "timestamp": "2026-02-06T02:30:00Z",
    "customer_id": "C100004",
    "merchant_id": "Crypto",
    "amount": 4500,
    "currency": "EUR",
    "device_id": "dev-17",
    "lat": 52.37,
    "long": 4.9,
}

EXAMPLE_RESPONSE: Final[dict[str, Any]] = {
    "transaction_id": "t-1001",
    "transaction_id_assigned": False,
    "prediction": "FRAUD",
    "decision": "BLOCK",
    "fraud_probability": 0.31,
    "model_scores": {"lr": 0.27, "xgb": 0.35},
    "rules": ["large_at_night"],
    "explanation": [
        {"source": "rule", "code": "large_at_night", "text": "a large payment at night"},
        {"source": "model", "code": "amount", "text": "the amount is 4,500.00"},
    ],
    "model_version": "1",
    "degraded": [],
    "duplicate": False,
}

EXAMPLE_DECISION: Final[dict[str, Any]] = {
    "transaction": EXAMPLE_REQUEST,
    **{
        name: value
        for name, value in EXAMPLE_RESPONSE.items()
        if name not in ("transaction_id", "transaction_id_assigned", "duplicate")
    },
    "features": {"amount": 4500.0, "is_night": 1.0},
    "decided_at": 1770345001.2,
    "latency_ms": 6.1,
    "entry": "1770345001200-0",
    "fingerprint": "02dabf75c3e4bd10",
    "policy": {"model": "tollgate", "weights": {"lr": 0.5, "xgb": 0.5}},
}

EXAMPLE_BATCH_RESPONSE: Final[dict[str, Any]] = {
    "decided": 1,
    "failed": 1,
    "results": [
        {"index": 0, **EXAMPLE_RESPONSE},
        {
            "index": 1,
            "error": {
                "code": "invalid_transaction",
                "message": "amount: input should be greater than 0",
                "details": [{"field": "amount", "message": "input should be greater than 0"}],
            },
        },
    ],
}

EXAMPLE_STATUS: Final[dict[str, Any]] = {
    "ok": True,
    "detail": "answers",
    "problem": "",
    "replica": "sisgen8z",
    "uptime_s": 31.4,
}

EXAMPLE_MODEL: Final[dict[str, Any]] = {
    "name": "tollgate",
    "alias": "champion",
    "version": "1",
    "fingerprint": "02dabf75c3e4bd10",
    "bundle": {
        "feature_names": ["amount", "hour_of_day"],
        "metrics": {"ensemble": {"roc_auc": 0.9, "average_precision": 0.7}},
    },
    "policy": {"weights": {"lr": 0.5, "xgb": 0.5}, "thresholds": {"block": 0.9, "review": 0.5, "fraud": 0.5}},
}


def prediction(
    batch: TransactionBatch, decisions: Decisions, row: int, assigned: bool, include_features: bool
) -> dict[str, Any]:
    """Return the answer for one row of a decided batch, in the shape of :class:`Prediction`."""
    earlier = decisions.earlier.get(row)
    answer: dict[str, Any] = {
        "transaction_id": batch.transaction_id[row],
        "transaction_id_assigned": assigned,
        "prediction": "FRAUD" if decisions.is_fraud[row] else "LEGIT",
        "decision": DECISION_NAMES[decisions.decision[row]],
        "fraud_probability": _number(decisions.probability.item(row)),
        "model_scores": {"lr": _number(decisions.lr.item(row)), "xgb": _number(decisions.xgb.item(row))},
        "rules": decisions.rules.get(row, []),
        "explanation": [
            {"source": reason.source, "code": reason.code, "text": reason.text}
            for reason in decisions.reasons.get(row, ())
        ],
        "model_version": decisions.model_version if earlier is None else earlier.model_version,
        "degraded": decisions.degraded if earlier is None else earlier.degraded,
        "duplicate": earlier is not None,
    }
    if include_features and decisions.features is not None:
        answer["features"] = dict(zip(FEATURE_NAMES, decisions.features[row].tolist(), strict=True))
    return answer


def error_json(body: ErrorBody) -> bytes:
    """Return the bytes of an error answer."""
    return to_json({"error": body.model_dump()})


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
