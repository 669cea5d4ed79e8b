"""Fit both models on the shard of one worker; alone, a worker has all rows."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from features.definitions import FEATURE_NAMES
from training.boosting import NOT_BEGUN, BoostedFit, BoostingProgress, fit_boosted
from training.fit_parameters import FitParameters
from training.logistic import newton
from training.models import FEATURE_TRANSFORMS, LogisticModel
from training.samples import SampleBlocks
from training.steps import AllReduce, learn_places


@dataclass(frozen=True, eq=False)
class ShardFit:
    """Both models, the same on every worker.

    Attributes:
        lr, boosted: the models.
        lr_iterations, lr_converged, lr_steps: how logistic regression went, and its number of steps.
        lr_s, xgb_s: seconds that each model took.
    """

    lr: LogisticModel
    boosted: BoostedFit
    lr_iterations: int
    lr_converged: bool
    lr_steps: int
    lr_s: float
    xgb_s: float


def fit_shard(
    train: SampleBlocks,
    validation: SampleBlocks,
    parameters: FitParameters,
    *,
    threads: int,
    allreduce: AllReduce = lambda local: local,
    progress: BoostingProgress = NOT_BEGUN,
    keep: Callable[[BoostingProgress], None] = lambda _: None,
) -> ShardFit:
    """Return both models fitted on this worker's rows and those of all others.

    Args:
        train, validation: this worker's shards.
        threads: of this worker, for the trees.
        allreduce: sums over the workers; the identity when there is one. The trees find the communicator of
            XGBoost by themselves.
        progress, keep: as :func:`training.boosting.fit_boosted`.
    """
    began = time.perf_counter()
    # One unit of work a worker and no more: the communicator is not thread-safe.
    transforms = tuple(FEATURE_TRANSFORMS[name] for name in FEATURE_NAMES)
    places = learn_places(train, quantiles=parameters.step_quantiles, allreduce=allreduce)
    logistic = newton(
        train,
        transforms,
        places=places,
        l2=parameters.l2,
        step_l2=parameters.step_l2,
        allreduce=allreduce,
    )
    fitted_lr = time.perf_counter()
    boosted = fit_boosted(
        train,
        validation,
        FEATURE_NAMES,
        parameters.boosting,
        threads=threads,
        seed=parameters.seed,
        progress=progress,
        keep=keep,
    )
    return ShardFit(
        lr=logistic.model(FEATURE_NAMES, transforms),
        boosted=boosted,
        lr_iterations=logistic.iterations,
        lr_converged=logistic.converged,
        lr_steps=len(places),
        lr_s=fitted_lr - began,
        xgb_s=time.perf_counter() - fitted_lr,
    )
