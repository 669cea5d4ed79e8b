"""Logistic regression by Newton's method on gradients and Hessians that are summed over all workers.

The objective is scikit-learn's (``LogisticRegression(C=1 / l2)``, intercept not penalised), so that the result is
the one which a single process with all rows would find: ``sum_i w_i logloss_i + l2 / 2 |coefficients|^2``.

The columns of the fit are the features, transformed and standardised, and after them the steps
(:mod:`training.steps`), centred, and all divided by one number. That number sets how strongly the ridge holds the
height of a step. Steps are not standardised, which would let those that few rows pass be as high as they like.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.special import expit  # type: ignore[import-untyped]

from features.formulas import Matrix
from training.models import Floats, LogisticModel, Transform
from training.samples import SampleBlocks
from training.steps import NO_PLACES, AllReduce, StepPlaces, Steps

CACHED_ROWS: Final = 2_048
"""Rows that are standardised and multiplied at once: few enough for the cache, 1.7 times as fast as 16,384."""
SAMPLED: Final = 8
"""Of so many rows one is in the sample on which the first iterations are made."""
SAMPLE_FROM_ROWS: Final = 100_000
"""With fewer rows, all iterations are made on all of them."""
SAMPLE_TOLERANCE: Final = 0.01
"""Newton decrement at which the sample has no more to say: the optimum of all rows lies further away than that."""
TOLERANCE: Final = 1e-10
"""Newton decrement, in nats of the summed objective, at which the last step is taken."""
MAX_ITERATIONS: Final = 50
MAX_HALVINGS: Final = 30
ROUNDING: Final = 1e-12
"""Share of the objective by which a sum over many rows may rise for no other reason than rounding."""


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """The result of :func:`newton`: the parameters, and how it was reached.

    Attributes:
        mean, scale, coefficients: (d + m,) of the columns of the fit: d features, then m steps.
        places: of the steps.
        iterations: Newton steps taken.
        converged: whether the Newton decrement fell below the tolerance; else the best point found is returned.
    """

    mean: Floats
    scale: Floats
    coefficients: Floats
    intercept: float
    places: StepPlaces
    iterations: int
    converged: bool

    def model(self, names: tuple[str, ...], transforms: tuple[Transform, ...]) -> LogisticModel:
        """Return the model that scores with these parameters."""
        d = len(names)
        steps = Steps(
            self.places.feature, self.places.above, self.mean[d:], self.coefficients[d:] / self.scale[d:]
        )
        features = self.mean[:d], self.scale[:d], self.coefficients[:d]
        return LogisticModel(names, transforms, *features, self.intercept, steps)


def newton(
    samples: SampleBlocks,
    transforms: tuple[Transform, ...],
    *,
    places: StepPlaces = NO_PLACES,
    l2: float = 1.0,
    step_l2: float = 10.0,
    allreduce: AllReduce = lambda local: local,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> LogisticFit:
    """Return the penalised maximum-likelihood fit on the rows of all workers together.

    Newton's method with step halving: the objective is convex, so a step that raises it was too long. Where there
    are many rows, the first iterations are made on a sample of them, and a few on all of them end at the same
    optimum.

    Args:
        samples: this worker's rows, (n, d); left as they are. They are read once or twice an iteration.
        transforms: how each of the d features is read, before standardisation.
        places: of the steps, the same on every worker.
        l2: strength of the ridge, > 0; it also keeps the Hessian regular where a feature is constant.
        step_l2: strength of the ridge on the height of each step in log-odds, > 0.
        allreduce: sums over the workers; the identity when there is one.

    Raises:
        ValueError: ``l2`` or ``step_l2`` is not positive, or a feature is not finite on some worker (then all
            raise).
    """
    for name, strength in (("l2", l2), ("step_l2", step_l2)):
        if not strength > 0:
            raise ValueError(f"{name} must be positive, not {strength}")
    shard = _Shard(samples, transforms, places)
    workers, rows = allreduce(np.array([1.0, len(samples)]))
    mean, scale = _moments(shard, allreduce)
    # l2 on a coefficient is l2 scale^2 on the height of the step, which is the coefficient / scale.
    scale[len(transforms) :] = np.sqrt(step_l2 / l2)
    problem = _Problem(shard, mean, scale, np.append(np.full(shard.columns, l2), 0.0), allreduce, workers)
    start = _Descent(np.zeros(shard.columns + 1), 0, converged=False)
    if rows >= SAMPLE_FROM_ROWS:
        sampled = replace(problem, shard=replace(shard, every=SAMPLED))
        start = _descend(sampled, start.point, SAMPLE_TOLERANCE, max_iterations)
    found = _descend(problem, start.point, tolerance, max_iterations)
    point, iterations = found.point, found.iterations
    return LogisticFit(mean, scale, point[:-1], float(point[-1]), places, iterations, converged=found.converged)


@dataclass(frozen=True, eq=False)
class _Descent:
    """Where Newton's method arrived, after how many iterations, and whether it reached the tolerance."""

    point: Floats
    iterations: int
    converged: bool


def _descend(problem: "_Problem", point: Floats, tolerance: float, max_iterations: int) -> _Descent:
    loss, gradient, hessian = problem.objective(point)
    for iteration in range(1, max_iterations + 1):
        # Solved on each worker, then averaged: two machines may differ in the last bit, and workers that
        # decided differently whether to go on would wait for each other for ever.
        step = problem.allreduce(np.linalg.solve(hessian, -gradient).astype(np.float64)) / problem.workers
        if -(gradient @ step) <= tolerance:
            return _Descent(point + step, iteration, converged=True)
        for _ in range(MAX_HALVINGS):
            candidate = problem.objective(point + step)
            if candidate[0] <= loss * (1 + ROUNDING):
                break
            step = step / 2
        else:
            break
        point = point + step
        loss, gradient, hessian = candidate
    return _Descent(point, iteration, converged=False)


@dataclass(frozen=True, eq=False)
class _Problem:
    """What is minimised: the loss of all workers' rows, and the ridge.

    Attributes:
        mean, scale: (c,) of the columns of the fit; ridge: (c + 1,), 0 for the intercept.
        workers: how many there are.
    """

    shard: "_Shard"
    mean: Floats
    scale: Floats
    ridge: Floats
    allreduce: AllReduce
    workers: float

    def objective(self, point: Floats) -> tuple[float, Floats, Floats]:
        """Return loss, gradient (c + 1,) and Hessian (c + 1, c + 1) at a point (c + 1,)."""
        summed = self.shard.every * self.allreduce(
            _loss_gradient_hessian(self.shard, self.mean, self.scale, point)
        )
        d, ridge = len(point), self.ridge
        loss = float(summed[0] + point @ (ridge * point) / 2)
        return loss, summed[1 : d + 1] + ridge * point, summed[d + 1 :].reshape(d, d) + np.diag(ridge)


@dataclass(frozen=True, eq=False)
class _Shard:
    """This worker's rows, of which one in ``every`` counts."""

    samples: SampleBlocks
    transforms: tuple[Transform, ...]
    places: StepPlaces
    every: int = 1

    @property
    def columns(self) -> int:
        """Columns of the fit: features and steps."""
        return len(self.transforms) + len(self.places)

    def blocks(self) -> Iterator[tuple[Matrix, Floats, Floats]]:
        """Yield (transformed features and steps, labels, weights) of consecutive rows."""
        d = len(self.transforms)
        log1p = np.flatnonzero([transform == "log1p" for transform in self.transforms])
        for samples in self.samples.blocks():
            weights = np.ones(len(samples)) if samples.weights is None else samples.weights
            for start in range(0, len(samples), CACHED_ROWS * self.every):
                rows = slice(start, start + CACHED_ROWS * self.every, self.every)
                own = samples.matrix[rows]
                block = np.empty((len(own), self.columns))
                block[:, :d] = own
                block[:, log1p] = np.log1p(own[:, log1p])
                block[:, d:] = self.places.indicators(own)
                yield block, samples.labels[rows], weights[rows]


def _moments(shard: _Shard, allreduce: AllReduce) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (d,) over all workers; a constant feature has scale 1.

    Unweighted, as scikit-learn's StandardScaler. Two passes, because a sum of squares loses digits where the mean
    is large.
    """
    d = shard.columns
    total = np.zeros(d + 1)
    for block, labels, _ in shard.blocks():
        total += np.append(block.sum(axis=0), len(labels))
    total = allreduce(total)
    mean = total[:-1] / total[-1]
    if not np.isfinite(mean).all():
        raise ValueError("the feature matrix holds a value that is not finite")
    squares = np.zeros(d)
    for block, _, _ in shard.blocks():
        centred = block - mean
        squares += np.einsum("ij,ij->j", centred, centred)
    scale = np.sqrt(allreduce(squares) / total[-1])
    negligible = scale <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    return mean, np.where(negligible, 1.0, scale)


def _loss_gradient_hessian(shard: _Shard, mean: Floats, scale: Floats, point: Floats) -> Floats:
    """Return this worker's loss, gradient and Hessian in one flat array (1 + (d + 1) + (d + 1)^2,)."""
    d = len(point)
    loss, gradient, hessian = 0.0, np.zeros(d), np.zeros((d, d))
    for block, labels, weights in shard.blocks():
        design = np.empty((len(labels), d))
        np.subtract(block, mean, out=design[:, :-1])
        design[:, :-1] /= scale
        design[:, -1] = 1.0
        log_odds = design @ point
        probability: Floats = expit(log_odds)
        loss += float(weights @ (np.logaddexp(0.0, log_odds) - labels * log_odds))
        gradient += design.T @ (weights * (probability - labels))
        # One matrix by itself: NumPy then computes a triangle alone, which halves what takes the most time.
        design *= np.sqrt(weights * probability * (1.0 - probability))[:, None]
        hessian += design.T @ design
    return np.concatenate([[loss], gradient, hessian.ravel()])
