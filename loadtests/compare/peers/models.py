"""The two models of the bundle as scikit-learn estimators, for servers that call ``predict_proba``.

Read from the exported files alone (xgb.ubj, lr.json), so that it imports nothing of the project.
"""

import json
import math
from collections.abc import Callable
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


def fraud_probability(folder: Path) -> Callable[[float, float], float]:
    """Return the function from the scores of LR and XGBoost to a probability: a weighted mean, calibrated."""
    manifest: dict[str, Any] = json.loads((folder / "bundle.json").read_bytes())
    weights, curve = manifest["ensemble"], manifest["calibration"] or {"a": 1, "b": 1, "c": 0}

    def probability(lr: float, xgb: float) -> float:
        mean = weights["lr"] * lr + weights["xgb"] * xgb
        log_odds = curve["a"] * math.log(mean) - curve["b"] * math.log1p(-mean) + curve["c"]
        return 1 / (1 + math.exp(-log_odds))

    return probability


def logistic_regression(folder: Path) -> Pipeline:
    """Return lr.json as a fitted pipeline of the log1p columns, the steps, and a LogisticRegression.

    Standardisation is folded into the coefficients, so nothing is computed that the answer does not need.
    """
    content: dict[str, Any] = json.loads((folder / "lr.json").read_bytes())
    slopes = np.array(content["coefficients"]) / np.array(content["scale"])
    names = content["feature_names"]
    steps = [
        (names.index(of["feature"]), above, share, height)
        for of in content.get("steps", [])
        for above, share, height in zip(of["above"], of["share"], of["height"], strict=True)
    ]
    usual = float(np.array(content["mean"]) @ slopes) + sum(share * height for _, _, share, height in steps)
    model = LogisticRegression()
    model.classes_ = np.array([0, 1])
    model.coef_ = np.array([*slopes, *(height for *_, height in steps)])[np.newaxis]
    model.intercept_ = np.array([content["intercept"] - usual])
    model.n_features_in_ = len(slopes) + len(steps)
    options = {
        "columns": [i for i, transform in enumerate(content["transforms"]) if transform == "log1p"],
        "feature": np.array([feature for feature, *_ in steps], np.intp),
        "above": np.array([above for _, above, *_ in steps], np.float64),
    }
    return make_pipeline(FunctionTransformer(columns_of, kw_args=options), model)


def columns_of(matrix: Any, columns: list[int], feature: npt.NDArray[np.intp], above: Floats) -> Floats:
    """Return a matrix or frame (n, d) as float64, with log1p taken of some columns, and 1 or 0 for each step."""
    values = np.array(matrix, np.float64)
    steps = values[:, feature] > above
    values[:, columns] = np.log1p(values[:, columns])
    return np.hstack((values, steps))


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
