"""Gradient-boosted trees (XGBoost) on the shards of all workers, with early stopping on a later period.

Boosting goes in stretches of some rounds. Each begins with saved trees and a seed of its own, and nothing else
that XGBoost may remember. So a fit that goes on from the checkpoint after a stretch ends with the same trees, bit
for bit, as one that nothing disturbed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import xgboost as xgb
from pydantic import BaseModel, ConfigDict, Field

from training.samples import SampleBlocks

_HELD_OUT: Final = "validation"
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
        checkpoint_rounds: length of a stretch, after which the trees are kept in case a worker dies. Where each
            split may choose from some features alone, other lengths draw others: slightly other trees.
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
    checkpoint_rounds: int = Field(50, ge=1)
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


@dataclass(frozen=True, slots=True)
class BoostingProgress:
    """How far boosting is, and all that it needs to go on.

    Attributes:
        trees: in XGBoost's UBJSON; empty before the first round.
        losses: on the validation rows of all workers, after each round.
    """

    trees: bytes = b""
    losses: tuple[float, ...] = ()

    def ended(self, parameters: BoostingParameters) -> bool:
        """Return whether all rounds are done, or the loss has not fallen for long enough."""
        rounds = len(self.losses)
        return rounds >= parameters.rounds or rounds - self.best_rounds >= parameters.early_stopping_rounds

    @property
    def best_rounds(self) -> int:
        """Rounds until the lowest loss, the first of equal ones; 0 before the first round."""
        return self.losses.index(min(self.losses)) + 1 if self.losses else 0


NOT_BEGUN: Final = BoostingProgress()


@dataclass(frozen=True, eq=False)
class BoostedFit:
    """The fitted trees up to the best round, and the validation loss there."""

    booster: xgb.Booster
    rounds: int
    validation_logloss: float


def fit_boosted(
    train: SampleBlocks,
    validation: SampleBlocks,
    feature_names: tuple[str, ...],
    parameters: BoostingParameters,
    *,
    threads: int,
    seed: int,
    progress: BoostingProgress = NOT_BEGUN,
    keep: Callable[[BoostingProgress], None] = lambda _: None,
) -> BoostedFit:
    """Return trees fitted on this worker's rows and those of all others in the XGBoost communicator.

    Every worker must call it with the same parameters: each round is a number of collective calls, and early
    stopping looks at a loss that is summed over the workers, so that all of them stop at the same round.

    Args:
        train, validation: this worker's shards; neither may be empty. Rows without a label are not among them.
        threads: of this worker.
        progress: where an earlier attempt at the same fit was; the same on every worker.
        keep: called after each stretch but the last, on every worker.
    """
    # Binned block by block: of the features themselves a worker never holds more than one block.
    binned = xgb.QuantileDMatrix(_Blocks(train, feature_names), max_bin=parameters.max_bin, nthread=threads)
    held_out = xgb.QuantileDMatrix(
        _Blocks(validation, feature_names), max_bin=parameters.max_bin, ref=binned, nthread=threads
    )
    while not progress.ended(parameters):
        progress = _after_a_stretch(progress, binned, held_out, parameters, threads=threads, seed=seed)
        if not progress.ended(parameters):
            keep(progress)
    rounds = progress.best_rounds
    # The trees after the best round are cut off, so that no reader of the file must know of them.
    return BoostedFit(xgb.Booster(model_file=bytearray(progress.trees))[:rounds], rounds, min(progress.losses))


def _after_a_stretch(
    progress: BoostingProgress,
    binned: xgb.QuantileDMatrix,
    held_out: xgb.QuantileDMatrix,
    parameters: BoostingParameters,
    *,
    threads: int,
    seed: int,
) -> BoostingProgress:
    done = len(progress.losses)
    stop = _StopWhenEnded(progress.losses, parameters)
    booster = xgb.train(
        # The seed of a stretch tells it from the others, which would draw the same features otherwise.
        parameters.to_xgboost(threads=threads, seed=seed + done),
        binned,
        min(parameters.checkpoint_rounds, parameters.rounds - done),
        evals=[(held_out, _HELD_OUT)],
        xgb_model=bytearray(progress.trees) if done else None,
        callbacks=[stop],
        verbose_eval=False,
    )
    return BoostingProgress(bytes(booster.save_raw("ubj")), stop.losses)


class _Blocks(xgb.DataIter):
    """Rows as XGBoost asks for them, some times over, when it makes the bins."""

    def __init__(self, samples: SampleBlocks, feature_names: tuple[str, ...]) -> None:
        super().__init__()
        self._samples = samples
        self._names = list(feature_names)
        self._left = samples.blocks()

    def next(self, input_data: Callable[..., Any]) -> bool:
        """Hand over the next block; return whether there was one."""
        block = next(self._left, None)
        if block is None:
            return False
        # Blocks of one table are labelled alike: all of them have weights, or none.
        weights = {} if block.weights is None else {"weight": block.weights}
        input_data(data=block.matrix, label=block.labels, feature_names=self._names, **weights)
        return True

    def reset(self) -> None:
        """Begin anew with the first block."""
        self._left = self._samples.blocks()


class _StopWhenEnded(xgb.callback.TrainingCallback):
    """Early stopping that knows the losses of earlier stretches."""

    def __init__(self, losses: tuple[float, ...], parameters: BoostingParameters) -> None:
        super().__init__()
        self.losses = losses
        self._parameters = parameters

    def after_iteration(self, model: xgb.Booster, epoch: int, evals_log: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Note the loss of a round; return whether to stop."""
        self.losses = (*self.losses, float(evals_log[_HELD_OUT][METRIC][-1]))
        return BoostingProgress(losses=self.losses).ended(self._parameters)
