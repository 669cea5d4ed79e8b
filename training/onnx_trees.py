"""The boosted trees as ONNX: made and checked when a bundle is saved, run where it is served.

ONNX Runtime takes 9 microseconds for one row where XGBoost's own call takes over a hundred, most of them spent on
its array interface; up to about 50 rows it is several times faster, beyond that its cost a row rises again.
"""

import json
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]
import xgboost as xgb
from onnxruntime.capi import onnxruntime_pybind11_state as state  # type: ignore[import-untyped]

from features.errors import BundleRefused
from features.formulas import Matrix

CHUNK_ROWS: Final = 48
"""Rows of one call; the cost a row doubles past about 50."""
TOLERANCE: Final = 1e-6
"""Largest difference to the native score: both sum float32 leaves, in orders of their own."""
CHECKED_ROWS: Final = 2000
_INPUT: Final = "features"
_OUTPUT: Final = "probabilities"
_GRAPH: Final = "tollgate"
_NO_MODEL: Final = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NotImplemented,
)
"""What ONNX Runtime raises where a model is broken; the classes have no base of their own."""

Probabilities = npt.NDArray[np.float32]


class OnnxTrees:
    """Scores with ONNX Runtime in the calling thread; safe to call from several threads.

    Raises:
        BundleRefused: the content is no such model.
    """

    def __init__(self, content: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except _NO_MODEL as error:
            raise BundleRefused(f"The trees of the bundle cannot be read as ONNX: {error}") from error

    def probability(self, matrix: Matrix) -> Probabilities:
        """Return the fraud probabilities (n,) of a feature matrix (n, d)."""
        rows = np.asarray(matrix, np.float32)
        if len(rows) <= CHUNK_ROWS:
            return self._run(rows)
        return np.concatenate([self._run(rows[at : at + CHUNK_ROWS]) for at in range(0, len(rows), CHUNK_ROWS)])

    def _run(self, rows: npt.NDArray[np.float32]) -> Probabilities:
        probabilities: Probabilities = self._session.run([_OUTPUT], {_INPUT: rows})[0][:, 1]
        return probabilities


def to_onnx(booster: xgb.Booster) -> bytes:
    """Return a binary classifier's trees as ONNX.

    Raises:
        BundleRefused: the trees score otherwise there than in XGBoost.
    """
    # Imported here: training makes the file, a server only runs it.
    from onnxmltools.convert import convert_xgboost  # type: ignore[import-untyped]
    from onnxmltools.convert.common.data_types import FloatTensorType  # type: ignore[import-untyped]

    unnamed = booster.copy()
    features = booster.num_features()
    # The converter knows columns by number alone.
    unnamed.feature_names = [f"f{number}" for number in range(features)]
    model = convert_xgboost(
        unnamed,
        # The converter's own name for a graph is random; the same trees should be the same bytes.
        name=_GRAPH,
        initial_types=[(_INPUT, FloatTensorType([None, features]))],
        target_opset=15,
    )
    content: bytes = model.SerializeToString(deterministic=True)
    _check(booster, content)
    return content


def _check(booster: xgb.Booster, content: bytes) -> None:
    """Compare the two on rows that lie on the split points, just below them and just above.

    Raises:
        BundleRefused: they differ by more than ``TOLERANCE``.
    """
    rows = _rows_at_splits(booster)
    native = booster.inplace_predict(rows, validate_features=False)
    difference = float(np.abs(OnnxTrees(content).probability(rows) - native).max())
    if difference > TOLERANCE:
        raise BundleRefused(f"The trees score otherwise as ONNX than in XGBoost: by up to {difference}.")


def _rows_at_splits(booster: xgb.Booster) -> Matrix:
    trees: list[dict[str, Any]] = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"][
        "model"
    ]["trees"]
    points: list[set[float]] = [{0.0} for _ in range(booster.num_features())]
    for tree in trees:
        inner = (child != -1 for child in tree["left_children"])
        for is_split, feature, value in zip(inner, tree["split_indices"], tree["split_conditions"], strict=True):
            if is_split:
                points[feature].add(value)
    random = np.random.default_rng(0)
    rows = np.empty((CHECKED_ROWS, len(points)))
    for column, values in enumerate(points):
        chosen = random.choice(np.array(sorted(values), np.float32), CHECKED_ROWS)
        towards = random.choice(np.array([-np.inf, 0, np.inf], np.float32), CHECKED_ROWS)
        rows[:, column] = np.where(towards == 0, chosen, np.nextafter(chosen, towards))
    return rows
