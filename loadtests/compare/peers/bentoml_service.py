"""BentoML with adaptive batching: the models alone, on a feature vector.

bentoml serve loadtests.compare.peers.bentoml_service:Fraud
"""

import os
from pathlib import Path

import bentoml
import numpy as np

from loadtests.compare.peers.models import BUNDLE_VARIABLE, BothModels

MAX_BATCH_SIZE = 64
MAX_LATENCY_MS = 60_000
WORKERS = 2


@bentoml.service(
    workers=WORKERS, traffic={"timeout": 30}, logging={"access": {"enabled": False}}, metrics={"enabled": False}
)
class Fraud:
    """Scores feature vectors."""

    def __init__(self) -> None:
        self._models = BothModels(Path(os.environ[BUNDLE_VARIABLE]))

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True, batch_dim=(0, 0), max_batch_size=MAX_BATCH_SIZE, max_latency_ms=MAX_LATENCY_MS
    )
    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return (n, 2), lr and xgb, of feature vectors (n, d)."""
        return np.array(self._models.scores(features))
