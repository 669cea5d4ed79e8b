"""The two models of the bundle as scikit-learn estimators, for servers that call ``predict_proba``.

Read from the exported files alone (xgb.ubj, lr.json), so that it imports nothing of the project.
"""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import Pipeline, make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import FunctionTransformer  # type: ignore[import-untyped]
from xgboost import XGBClassifier

BUNDLE_VARIABLE: Final = "COMPARE_BUNDLE"
"""Names the folder with the exported files, in the environment of every peer."""

Floats = npt.NDArray[np.float64]


def logistic_regression(folder: Path) -> Pipeline:
    """Return lr.json as a fitted pipeline of the log1p columns and a LogisticRegression.

    Standardisation is folded into the coefficients, so nothing is computed that the answer does not need.
    """
    content: dict[str, Any] = json.loads((folder / "lr.json").read_bytes())
    slopes = np.array(content["coefficients"]) / np.array(content["scale"])
    model = LogisticRegression()
    model.classes_ = np.array([0, 1])
    model.coef_ = slopes[np.newaxis]
    model.intercept_ = np.array([content["intercept"] - float(np.array(content["mean"]) @ slopes)])
    model.n_features_in_ = len(slopes)
    columns = [i for i, transform in enumerate(content["transforms"]) if transform == "log1p"]
    return make_pipeline(FunctionTransformer(log1p_of, kw_args={"columns": columns}), model)


def log1p_of(matrix: Any, columns: list[int]) -> Floats:
    """Return a matrix or frame (n, d) as float64, with log1p taken of some columns."""
    transformed = np.array(matrix, np.float64)
    transformed[:, columns] = np.log1p(transformed[:, columns])
    return transformed


def boosted_trees(folder: Path) -> XGBClassifier:
    """Return xgb.ubj as a classifier that uses one thread: the batches are small, and workers are processes."""
    model = XGBClassifier(n_jobs=1)
    model.load_model(folder / "xgb.ubj")
    return model


class BothModels:
    """Logistic regression and boosted trees, scored one after the other."""

    def __init__(self, folder: Path) -> None:
        self._lr = logistic_regression(folder)
        self._xgb = boosted_trees(folder)

    def scores(self, matrix: Floats) -> list[list[float]]:
        """Return [lr, xgb], the fraud probabilities, for each row of a feature matrix (n, d)."""
        lr, xgb = self._lr.predict_proba(matrix)[:, 1], self._xgb.predict_proba(matrix)[:, 1]
        both: list[list[float]] = np.stack([lr, xgb.astype(np.float64)], axis=1).tolist()
        return both
