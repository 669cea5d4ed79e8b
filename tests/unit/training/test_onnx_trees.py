"""The trees as ONNX score as XGBoost does, on every side of every split, or are refused."""

import numpy as np
import pytest
import xgboost as xgb

import training.onnx_trees
from features.errors import BundleRefused
from tests.unit.training.bundles import small_bundle, some_rows
from training.onnx_trees import CHUNK_ROWS, OnnxTrees, to_onnx


def booster() -> xgb.Booster:
    return small_bundle().xgb.booster


@pytest.mark.parametrize("rows", [1, 2, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS + 7])
def test_a_batch_of_any_size_scores_as_in_xgboost(rows: int) -> None:
    few = some_rows()
    matrix = few[np.arange(rows) % len(few)] * np.linspace(0.5, 2, rows)[:, None]
    expected = booster().inplace_predict(matrix, validate_features=False)
    scores = OnnxTrees(to_onnx(booster())).probability(matrix)
    assert scores.shape == (rows,)
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-6)


def test_a_score_depends_neither_on_its_neighbours_nor_on_its_place() -> None:
    trees, few = OnnxTrees(to_onnx(booster())), some_rows()
    matrix = few[np.arange(2 * CHUNK_ROWS + 5) % len(few)]
    together = trees.probability(matrix)
    alone = np.concatenate([trees.probability(matrix[at : at + 1]) for at in range(len(matrix))])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-7)


def test_the_feature_names_of_the_booster_stay_as_they_are() -> None:
    trees = booster()
    before = trees.feature_names
    to_onnx(trees)
    assert trees.feature_names == before


def test_no_batch_is_no_score() -> None:
    assert OnnxTrees(to_onnx(booster())).probability(some_rows()[:0]).shape == (0,)


def test_trees_that_score_otherwise_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if one score were off by a little more than the two may differ.
    exact = OnnxTrees.probability
    monkeypatch.setattr(OnnxTrees, "probability", lambda trees, matrix: exact(trees, matrix) + 2e-6)
    with pytest.raises(BundleRefused, match="score otherwise as ONNX"):
        to_onnx(booster())


def test_the_rows_of_the_check_lie_on_both_sides_of_splits() -> None:
    trees = booster()
    rows = training.onnx_trees._rows_at_splits(trees)
    leaves = trees.predict(xgb.DMatrix(rows, feature_names=trees.feature_names), pred_leaf=True)
    for tree in range(leaves.shape[1]):
        assert len(np.unique(leaves[:, tree])) > 1


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(BundleRefused, match="cannot be read as ONNX"):
        OnnxTrees(content)


def test_the_same_trees_are_the_same_bytes() -> None:
    booster = small_bundle().xgb.booster
    assert to_onnx(booster) == to_onnx(booster)
