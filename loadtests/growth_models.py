"""The models as the number of features grows: time and size of a logistic regression and of boosted trees."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import numpy as np
import xgboost as xgb

from features.definitions import FEATURES
from features.formulas import Matrix
from loadtests.growth_measures import Measure, measure, timed_us
from training.models import LogisticModel
from training.onnx_trees import OnnxTrees, to_onnx

COLUMNS: Final = (8, len(FEATURES), 64, 128, 256)
BATCHES: Final = (1, 64)
ROWS: Final = 4_000
TREES: Final = 100
DEPTH: Final = 6
CALLS: Final = 40


def feature_growth(done: Callable[[], None]) -> Iterator[Measure]:
    """Yield what scoring costs with 8 to 256 features; trees and rows are as many each time."""
    for columns in sorted(COLUMNS):
        random = np.random.default_rng(columns)
        rows = random.lognormal(size=(ROWS, columns))
        content = to_onnx(fitted(rows, random))
        trees, regression = OnnxTrees(content), regression_of(columns, random)
        for size in BATCHES:
            batch = rows[:size]
            for name, call in (
                ("logistic regression", partial(regression.probability, batch)),
                ("boosted trees", partial(trees.probability, batch)),
            ):
                yield measure("features", columns, f"{name}, batch of {size}", "us a call", timed_us(call, CALLS))
        yield measure("features", columns, "boosted trees, size", "kB", [len(content) / 1e3])
        yield measure("features", columns, "regression, size", "kB", [len(regression.to_json()) / 1e3])
        yield measure("features", columns, "matrix between replicas", "bytes a transaction", [8.0 * columns])
        done()


def fitted(rows: Matrix, random: np.random.Generator) -> xgb.Booster:
    """Return trees that learnt noise: they grow to their full depth and use every column."""
    labels = (random.random(len(rows)) < 0.5).astype(float)
    parameters = {"objective": "binary:logistic", "max_depth": DEPTH, "eta": 0.1, "nthread": 1, "seed": 0}
    return xgb.train(parameters, xgb.QuantileDMatrix(rows, labels, nthread=1), TREES)


def regression_of(columns: int, random: np.random.Generator) -> LogisticModel:
    """Return a logistic regression of which every third feature is read as a logarithm, as ours are."""
    return LogisticModel(
        feature_names=tuple(f"f{number}" for number in range(columns)),
        transforms=tuple("log1p" if number % 3 == 0 else "linear" for number in range(columns)),
        mean=random.random(columns),
        scale=random.random(columns) + 0.5,
        coefficients=random.normal(size=columns),
        intercept=-3.0,
    )
