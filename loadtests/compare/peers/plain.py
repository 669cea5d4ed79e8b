"""A fraud service as it is usually first written: a sync FastAPI endpoint, a Redis hash, a pandas frame.

    uvicorn --factory loadtests.compare.peers.plain:create

One HGETALL and one HSET a request, running totals a customer in place of windows, two ``predict_proba``.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import redis
from fastapi import FastAPI
from pydantic import BaseModel

from loadtests.compare.peers.models import BUNDLE_VARIABLE, boosted_trees, fraud_probability, logistic_regression

NIGHT_ENDS_HOUR: Final = 6
LONGEST_S: Final = 30 * 24 * 3600.0
"""What stands for "never before", in seconds."""


class Payment(BaseModel):
    """One payment, as the client sends it."""

    transaction_id: str
    timestamp: float
    customer_id: str
    merchant_id: str | None = None
    amount: float
    currency: str | None = None
    device_id: str | None = None
    lat: float | None = None
    long: float | None = None


def create() -> FastAPI:
    """Return the application; uvicorn calls it in each worker."""
    folder = Path(os.environ[BUNDLE_VARIABLE])
    lr, xgb = logistic_regression(folder), boosted_trees(folder)
    combined = fraud_probability(folder)
    names = list(xgb.get_booster().feature_names or ())
    store: Any = redis.Redis.from_url(os.environ["COMPARE_REDIS_URL"], decode_responses=True)
    api = FastAPI(title="Plain")

    @api.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @api.post("/predict")
    def predict(payment: Payment) -> dict[str, Any]:
        key = f"plain:{payment.customer_id}"
        profile = store.hgetall(key)
        frame = pd.DataFrame([features(payment, profile)]).reindex(columns=names, fill_value=0.0)
        lr_score = float(lr.predict_proba(frame)[0, 1])
        xgb_score = float(xgb.predict_proba(frame)[0, 1])
        store.hset(key, mapping=updated(payment, profile))
        probability = combined(lr_score, xgb_score)
        return {
            "transaction_id": payment.transaction_id,
            "prediction": "FRAUD" if probability > 0.5 else "LEGIT",
            "fraud_probability": probability,
            "model_scores": {"lr": lr_score, "xgb": xgb_score},
        }

    return api


def features(payment: Payment, profile: dict[str, str]) -> dict[str, float]:
    """Return what is known of a payment by name; a feature that is not named is 0."""
    time = datetime.fromtimestamp(payment.timestamp, UTC)
    count, total = float(profile.get("count", 0)), float(profile.get("total", 0))
    mean = total / count if count else 0.0
    ratio = payment.amount / mean if mean else 1.0
    known = {
        "amount": payment.amount,
        "hour_of_day": time.hour,
        "day_of_week": time.weekday(),
        "is_night": time.hour < NIGHT_ENDS_HOUR,
        "is_weekend": time.weekday() >= 5,
        "avg_amount_7d": mean,
        "avg_amount_30d": mean,
        "amount_ratio": ratio,
        "amount_ratio_30d": ratio,
        "has_history": count > 0,
        "seconds_since_previous": payment.timestamp - float(profile["last"]) if count else LONGEST_S,
        "amount_drift_7d": 1.0,
        "merchant_amount_ratio_30d": 1.0,
    }
    for window in ("1h", "24h", "7d", "30d"):
        known[f"count_last_{window}"] = count
        known[f"amount_last_{window}"] = total
    return {name: float(value) for name, value in known.items()}


def updated(payment: Payment, profile: dict[str, str]) -> dict[str, float]:
    """Return the running totals of a customer after a payment."""
    return {
        "count": float(profile.get("count", 0)) + 1,
        "total": float(profile.get("total", 0)) + payment.amount,
        "last": payment.timestamp,
    }
