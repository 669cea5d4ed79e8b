"""The textbook composition on Ray Serve: each request walks the graph alone, the models batch what they get.

    python -m loadtests.compare.peers.textbook PORT

Ingress -> Features -> LogisticRegression and XGBoost (``@serve.batch``) -> Ensemble, Serve's own proxy and its
default settings, in a Ray instance of its own. Same bundle, same windows as Tollgate; no rules, no explanation.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import ray
from fastapi import FastAPI, HTTPException
from ray import serve
from ray.serve.handle import DeploymentHandle

from features.definitions import fingerprint
from features.errors import InvalidTransaction
from features.formulas import Matrix, feature_matrix
from features.online import AsyncOnlineStore
from features.transaction import Transaction, TransactionBatch, check_transaction
from loadtests.compare.peers.models import BUNDLE_VARIABLE
from training.bundle import Bundle

LOGICAL_CPUS: Final = 8
"""Serve reserves one for each deployment and the machine may have two; it limits nothing."""
MAX_ONGOING: Final = 256
"""Of each deployment: Serve's default of 5 would keep its batches at 5 and its proxy waiting."""
BATCH: Final[dict[str, Any]] = {"max_batch_size": 64, "batch_wait_timeout_s": 0.01}


class Features:
    """The past of one transaction as a feature vector."""

    def __init__(self, redis_url: str) -> None:
        self._store = AsyncOnlineStore(redis_url, timeout_s=5)

    async def __call__(self, transaction: Transaction) -> Matrix:
        """Return the feature vector (d,), and count the transaction."""
        batch = TransactionBatch.of([transaction])
        vector: Matrix = feature_matrix(await self._store.observe(batch, claimed=False))[0]
        return vector


class LogisticRegression:
    """Scores feature vectors with the bundle's logistic regression, in batches."""

    def __init__(self, folder: str) -> None:
        self._model = Bundle.load(Path(folder), fingerprint()).lr

    @serve.batch(**BATCH)
    async def __call__(self, vectors: list[Matrix]) -> list[float]:
        """Return the score of each vector."""
        scores: list[float] = self._model.probability(np.stack(vectors)).tolist()
        return scores


class XGBoost:
    """Scores feature vectors with the bundle's trees, in batches."""

    def __init__(self, folder: str) -> None:
        self._model = Bundle.load(Path(folder), fingerprint()).xgb

    @serve.batch(**BATCH)
    async def __call__(self, vectors: list[Matrix]) -> list[float]:
        """Return the score of each vector."""
        scores: list[float] = self._model.probability(np.stack(vectors)).tolist()
        return scores


class Ensemble:
    """The weighted mean of both models, and what follows from it."""

    def __init__(self, folder: str) -> None:
        self._bundle = Bundle.load(Path(folder), fingerprint())
        self._thresholds = self._bundle.manifest.thresholds

    async def __call__(self, lr: float, xgb: float) -> dict[str, Any]:
        """Return the answer to one request."""
        probability = float(self._bundle.combine(np.array([lr]), np.array([xgb]))[0])
        blocked, reviewed = probability > self._thresholds.block, probability > self._thresholds.review
        return {
            "prediction": "FRAUD" if probability > self._thresholds.fraud else "LEGIT",
            "decision": "BLOCK" if blocked else "REVIEW" if reviewed else "APPROVE",
            "fraud_probability": probability,
            "model_scores": {"lr": lr, "xgb": xgb},
        }


def ingress(api: FastAPI) -> type[Any]:
    """Return the ingress class with its routes."""

    class Ingress:
        def __init__(self, features: Any, lr: Any, xgb: Any, ensemble: Any) -> None:
            self._features: DeploymentHandle[Any] = features
            self._lr: DeploymentHandle[Any] = lr
            self._xgb: DeploymentHandle[Any] = xgb
            self._ensemble: DeploymentHandle[Any] = ensemble

        @api.get("/health")
        async def health(self) -> dict[str, str]:
            return {"status": "ok"}

        @api.post("/predict")
        async def predict(self, transaction: Transaction) -> dict[str, Any]:
            try:
                check_transaction(transaction, int(time.time() * 1000))
            except InvalidTransaction as error:
                raise HTTPException(422, str(error)) from error
            # Responses are passed on as they are: Serve resolves them where they are needed.
            vector = self._features.remote(transaction)
            answer: dict[str, Any] = await self._ensemble.remote(self._lr.remote(vector), self._xgb.remote(vector))
            return {"transaction_id": transaction.transaction_id, **answer}

    return Ingress


def main(port: int) -> None:
    """Serve until the process is stopped."""
    folder, redis_url = os.environ[BUNDLE_VARIABLE], os.environ["COMPARE_REDIS_URL"]
    ray.init("local", num_cpus=LOGICAL_CPUS, include_dashboard=False, _temp_dir=os.environ["COMPARE_SHORT_FOLDER"])
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    api = FastAPI(title="Textbook")
    graph: Any = _bind(
        serve.ingress(api)(ingress(api)),
        _bind(Features, redis_url),
        _bind(LogisticRegression, folder),
        _bind(XGBoost, folder),
        _bind(Ensemble, folder),
    )
    serve.run(graph, blocking=True)


def _bind(deployment: Any, *args: Any) -> Any:
    return serve.deployment(max_ongoing_requests=MAX_ONGOING)(deployment).bind(*args)


if __name__ == "__main__":
    main(int(sys.argv[1]))
