"""The search: rung after rung, the fits of one side by side on Ray, each outcome kept as it comes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import ray

from training.evaluation.metrics import MetricSettings
from training.evaluation.protocols import Fold
from training.fit_parameters import FitParameters
from training.tuning.halving import mean, ranked, rungs, survivors
from training.tuning.study import Study
from training.tuning.trial import FoldOutcome, run_trial

Fit = Callable[[int, Fold], "ray.ObjectRef[FoldOutcome]"]
"""Begins the fit of a trial on a fold."""


def search(
    study: Study,
    folds: Sequence[Fold],
    *,
    trials: int,
    reduction: int,
    score: str,
    metric: str,
    fit: Fit,
    parallel: int,
    ended: Callable[[FoldOutcome], None],
) -> int:
    """Return the number of the trial that wins, after all fits that the study does not hold yet.

    Args:
        folds: in the order in which trials see them.
        fit: begins a fit on Ray; ``parallel`` of them run at once.
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
        for outcome in _side_by_side(wanted, fit, parallel):
            ended(outcome)
            study.keep(outcome)
    return ranked({one: _mean(study, one, folds, score, metric) for one in alive})[0]


def fits_left(study: Study, folds: Sequence[Fold], trials: int, reduction: int) -> int:
    """Return how many fits the search takes at most from here."""
    done = sum(study.outcome(trial, fold.name) is not None for trial in range(trials) for fold in folds)
    return max(sum(rung.fits for rung in rungs(trials, len(folds), reduction)) - done, 0)


def on_ray(rows: Path, drawn: Sequence[FitParameters], settings: MetricSettings, cores: int) -> Fit:
    """Return what begins a fit as a Ray task of some cores. Every node must see the folder of the rows."""
    task = ray.remote(run_trial).options(num_cpus=cores)

    def begin(trial: int, fold: Fold) -> "ray.ObjectRef[FoldOutcome]":
        reference: ray.ObjectRef[FoldOutcome] = task.remote(rows, trial, fold, drawn[trial], settings, cores)
        return reference

    return begin


def _side_by_side(wanted: Sequence[tuple[int, Fold]], fit: Fit, parallel: int) -> Iterator[FoldOutcome]:
    """Yield the outcomes of fits in the order in which they end, at most ``parallel`` under way."""
    waiting = iter(wanted)
    under_way: list[ray.ObjectRef[FoldOutcome]] = []
    while True:
        for trial, fold in waiting:
            under_way.append(fit(trial, fold))
            if len(under_way) == parallel:
                break
        if not under_way:
            return
        ready, under_way = ray.wait(under_way, num_returns=1)
        yield from ray.get(ready)


def _mean(study: Study, trial: int, folds: Sequence[Fold], score: str, metric: str) -> float:
    outcomes = [study.outcome(trial, fold.name) for fold in folds]
    return mean([outcome.value(score, metric) for outcome in outcomes if outcome is not None])
