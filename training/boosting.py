"""Gradient-boosted trees (XGBoost) on the shards of all workers, with early stopping on a later period."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import xgboost as xgb
from pydantic import BaseModel, ConfigDict, Field

from features.formulas import Matrix

METRIC: Final = "logloss"
"""Of the metrics that XGBoost computes across workers, one whose sum over shards is exact (AUC's is a mean)."""


class BoostingParameters(BaseModel):
    """The parameters of the boosted trees.

    Attributes:
        rounds: trees at most; early stopping ends most fits at 70 to 120.
        early_stopping_rounds: rounds without a lower validation loss after which fitting ends.
        max_depth, eta, min_child_weight, reg_lambda: as in XGBoost.
        colsample_bynode: share of the features that each split may choose from. They are drawn with the seed, the
            same ones on every worker, so that trees differ from each other and no feature hides those like it.
        max_bin: cuts a feature. 256, the default of XGBoost, cannot place the cut at high amounts
            (docs/adr/0009-steps-and-calibration.md).
        base_score: where boosting starts. A constant, so that it does not depend on how rows were sharded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: int = Field(400, ge=1, le=5000)
    early_stopping_rounds: int = Field(20, ge=1)
    max_depth: int = Field(4, ge=1, le=16)
    eta: float = Field(0.1, gt=0, le=1)
    min_child_weight: float = Field(1.0, ge=0)
    reg_lambda: float = Field(1.0, ge=0)
    colsample_bynode: float = Field(0.5, gt=0, le=1)
    max_bin: int = Field(2048, ge=2, le=65_536)
    base_score: float = Field(0.5, gt=0, lt=1)

    def to_xgboost(self, *, threads: int, seed: int) -> dict[str, object]:
        """Return the parameters under the names that XGBoost knows."""
        return {
            "objective": "binary:logistic",
            "eval_metric": METRIC,
            "tree_method": "hist",
            "max_bin": self.max_bin,
            "max_depth": self.max_depth,
            "eta": self.eta,
            "min_child_weight": self.min_child_weight,
            "lambda": self.reg_lambda,
            "colsample_bynode": self.colsample_bynode,
            "base_score": self.base_score,
            "nthread": threads,
            "seed": seed,
        }


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows to fit on or to validate with.

    Attributes:
        matrix: (n, d) float64.
        labels: (n,) float64, 0 or 1.
        weights: (n,) float64 of the rows in the loss; None: 1 each.
    """

    matrix: Matrix
    labels: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class BoostedFit:
    """The fitted trees up to the best round, and the validation loss there."""

    booster: xgb.Booster
    rounds: int
    validation_logloss: float


def fit_boosted(
    train: Samples,
    validation: Samples,
    feature_names: tuple[str, ...],
    parameters: BoostingParameters,
    *,
    threads: int,
    seed: int,
) -> BoostedFit:
    """Return trees fitted on this worker's rows and those of all others in the XGBoost communicator.

    Every worker must call it with the same parameters: each round is a number of collective calls, and early
    stopping looks at a loss that is summed over the workers, so that all of them stop at the same round.

    Args:
        train, validation: this worker's shards; neither may be empty. Rows without a label are not among them.
        threads: of this worker.
    """
    names = list(feature_names)
    # Binned from float64 as it stands: no float32 copy of the shard is made.
    binned = xgb.QuantileDMatrix(
        train.matrix,
        train.labels,
        weight=train.weights,
        feature_names=names,
        max_bin=parameters.max_bin,
        nthread=threads,
    )
    held_out = xgb.QuantileDMatrix(
        validation.matrix,
        validation.labels,
        weight=validation.weights,
        feature_names=names,
        max_bin=parameters.max_bin,
        ref=binned,
        nthread=threads,
    )
    history: dict[str, dict[str, list[float]]] = {}
    booster = xgb.train(
        parameters.to_xgboost(threads=threads, seed=seed),
        binned,
        parameters.rounds,
        evals=[(held_out, "validation")],
        evals_result=history,
        early_stopping_rounds=parameters.early_stopping_rounds,
        verbose_eval=False,
    )
    rounds = booster.best_iteration + 1
    # The trees after the best round are cut off, so that no reader of the file must know of them.
    return BoostedFit(booster[:rounds], rounds, float(min(history["validation"][METRIC])))
