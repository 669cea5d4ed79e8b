"""MLServer with adaptive batching: a custom runtime that holds both models, so that one request asks for both.

python -m loadtests.compare.peers.mlserver_runtime FOLDER PORT    # writes the settings
mlserver start FOLDER
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from loadtests.compare.peers.models import BUNDLE_VARIABLE, BothModels

IMPLEMENTATION = "loadtests.compare.peers.mlserver_runtime.Fraud"
MAX_BATCH_SIZE = 64
MAX_BATCH_TIME_S = 0.001
PARALLEL_WORKERS = 0


class Fraud(MLModel):  # type: ignore[misc]
    """Scores the input tensor "features" (n, d); answers with one tensor "scores" (n, 2), lr and xgb."""

    async def load(self) -> bool:
        """Load the models."""
        self._models = BothModels(Path(os.environ[BUNDLE_VARIABLE]))
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the scores of a batch that MLServer has put together."""
        features = NumpyCodec.decode_input(payload.inputs[0])
        scores = np.array(self._models.scores(features))
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("scores", scores)])


def settings(port: int) -> dict[str, dict[str, Any]]:
    """Return the settings files of MLServer by name; it binds three ports from ``port`` on."""
    return {
        "settings.json": {
            "host": "127.0.0.1",
            "http_port": port,
            "grpc_port": port + 1,
            "metrics_port": port + 2,
            "metrics_endpoint": None,
            "parallel_workers": PARALLEL_WORKERS,
            "debug": False,
        },
        "model-settings.json": {
            "name": "fraud",
            "implementation": IMPLEMENTATION,
            "max_batch_size": MAX_BATCH_SIZE,
            "max_batch_time": MAX_BATCH_TIME_S,
        },
    }


def main(folder: Path, port: int) -> None:
    """Write the settings files into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in settings(port).items():
        (folder / name).write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
