"""LitServe with its batching: the models alone, on a feature vector.

python -m loadtests.compare.peers.litserve_server PORT
"""

import os
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from loadtests.compare.peers.models import BUNDLE_VARIABLE, BothModels, Floats

MAX_BATCH_SIZE = 64
BATCH_TIMEOUT_S = 0.001
API_SERVERS = 2


class Fraud(litserve.LitAPI):  # type: ignore[misc]
    """Scores feature vectors; LitServe calls the methods in its worker process."""

    def setup(self, _: str) -> None:
        """Load the models."""
        self._models = BothModels(Path(os.environ[BUNDLE_VARIABLE]))

    def decode_request(self, request: dict[str, Any]) -> Floats:
        """Return the feature vector (d,) of one request."""
        return np.array(request["features"], np.float64)

    def predict(self, batch: Floats) -> list[list[float]]:
        """Return [lr, xgb] of each row; LitServe stacks the vectors to (n, d)."""
        return self._models.scores(batch)

    def unbatch(self, output: list[list[float]]) -> list[list[float]]:
        """Return the answers one by one."""
        return output

    def encode_response(self, output: list[float]) -> dict[str, float]:
        """Return the body of one answer."""
        return {"lr": output[0], "xgb": output[1]}


def main(port: int) -> None:
    """Serve until the process is stopped."""
    api = Fraud(max_batch_size=MAX_BATCH_SIZE, batch_timeout=BATCH_TIMEOUT_S)
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1, timeout=30)
    server.run(
        host="127.0.0.1",
        port=port,
        num_api_servers=API_SERVERS,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
