"""Both models as one MLflow model (pyfunc), for ``mlflow models serve``.

python -m loadtests.compare.peers.mlflow_model FOLDER    # writes the model
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.pyfunc import PythonModel, save_model  # type: ignore[attr-defined]

from loadtests.compare.peers.models import BUNDLE_VARIABLE, BothModels


class Fraud(PythonModel):
    """Scores a frame or an array of feature vectors."""

    def load_context(self, context: Any) -> None:
        """Load the models that were saved with it."""
        self._models = BothModels(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> list[list[float]]:
        """Return [lr, xgb] for each row."""
        del context, params  # MLflow's signature; nothing here depends on them.
        return self._models.scores(np.asarray(model_input, np.float64))


def main(folder: Path) -> None:
    """Write the model in MLflow's format."""
    shutil.rmtree(folder, ignore_errors=True)
    save_model(
        folder, python_model=Fraud(), artifacts={"bundle": os.environ[BUNDLE_VARIABLE]}, pip_requirements=[]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
