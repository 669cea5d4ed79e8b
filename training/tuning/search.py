"""The search: rung after rung, the fits of one side by side on Ray, each outcome kept as it comes."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import ray

from training.evaluation.metrics import MetricSettings
from training.evaluation.protocols import Fold
from training.fit_parameters import FitParameters
from training.tuning.halving import mean, ranked, rungs, survivors
from training.tuning.study import Study
from training.tuning.trial import FoldOutcome, run_trial

Wanted = Sequence[tuple[int, Fold]]
"""Fits that are wanted: trials, each with a fold."""
Fit = Callable[[Wanted], Iterator[FoldOutcome]]
"""Makes fits, and yields each outcome as it comes."""


def search(
    study: Study,
    folds: Sequence[Fold],
    *,
    trials: int,
    reduction: int,
    score: str,
    metric: str,
    fit: Fit,
    ended: Callable[[FoldOutcome], None],
) -> int:
    """Return the number of the trial that wins, after all fits that the study does not hold yet.

    Args:
        folds: in the order in which trials see them.
        fit: makes the fits of a rung, in any order.
        ended: called with each new outcome before it is kept, so that what is kept has been told of.
    """
    alive = list(range(trials))
    for rung in rungs(trials, len(folds), reduction):
        if rung.before:
            seen = folds[: rung.before]
            alive = survivors({one: _mean(study, one, seen, score, metric) for one in alive}, rung.trials)
        wanted = [
            (trial, fold)
            for trial in alive
            for fold in folds[rung.before : rung.folds]
            if study.outcome(trial, fold.name) is None
        ]
        for outcome in fit(wanted):
            ended(outcome)
            study.keep(outcome)
    return ranked({one: _mean(study, one, folds, score, metric) for one in alive})[0]


def fits_left(study: Study, folds: Sequence[Fold], trials: int, reduction: int) -> int:
    """Return how many fits the search takes at most from here."""
    done = sum(study.outcome(trial, fold.name) is not None for trial in range(trials) for fold in folds)
    return max(sum(rung.fits for rung in rungs(trials, len(folds), reduction)) - done, 0)


def on_ray(
    rows: Path, drawn: Sequence[FitParameters], settings: MetricSettings, *, cores: int, parallel: int
) -> Fit:
    """Return what makes fits as Ray tasks, ``parallel`` of them at once, each on some cores.

    Args:
        rows: folder of the features, seen by every node.
        drawn: parameters of each trial.
    """
    task = ray.remote(run_trial).options(num_cpus=cores)

    def side_by_side(wanted: Wanted) -> Iterator[FoldOutcome]:
        waiting = iter(wanted)
        under_way: list[ray.ObjectRef[FoldOutcome]] = []
        while True:
            for trial, fold in islice(waiting, parallel - len(under_way)):
                under_way.append(task.remote(rows, trial, fold, drawn[trial], settings, cores))
            if not under_way:
                return
            ready, under_way = ray.wait(under_way, num_returns=1)
            yield from ray.get(ready)

    return side_by_side


def _mean(study: Study, trial: int, folds: Sequence[Fold], score: str, metric: str) -> float:
    outcomes = [study.outcome(trial, fold.name) for fold in folds]
    return mean([outcome.value(score, metric) for outcome in outcomes if outcome is not None])
