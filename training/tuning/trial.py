"""One fit of a trial: on one fold, in one process, on kept features."""

import time
from pathlib import Path
from typing import Final

import numpy as np
import xgboost as xgb
from pydantic import BaseModel, ConfigDict

from features.known_labels import UNDECIDED
from training.arrivals import milliseconds
from training.bundle import EnsembleWeights, Period
from training.ensemble import fit_ensemble
from training.evaluation.known_frauds import judged_rows
from training.evaluation.metrics import MetricSettings, metric_values
from training.evaluation.protocols import Fold
from training.fit_parameters import FitParameters
from training.models import BoostedModel, Floats
from training.samples import Samples
from training.shard_fit import fit_shard
from training.tuning.kept_rows import KeptRows

SCORES: Final = ("lr", "xgb", "ensemble")


class FoldOutcome(BaseModel):
    """What a trial reached on the test of a fold.

    Attributes:
        trial: its number; fold: the name of the fold.
        metrics: score to metric to value, as ``tollgate evaluate`` computes them; an undefined one is left out.
        rounds: trees kept; lr_share: weight of logistic regression in the ensemble.
        duration_s: of fits and metrics.
        failed: why there are no metrics, where the parameters made a fit impossible.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trial: int
    fold: str
    metrics: dict[str, dict[str, float]] = {}
    rounds: int = 0
    lr_share: float = 0.0
    duration_s: float = 0.0
    failed: str | None = None

    def value(self, score: str, metric: str) -> float:
        """Return a metric of a score; NaN where there is none."""
        return self.metrics.get(score, {}).get(metric, float("nan"))


def run_trial(
    folder: Path, trial: int, fold: Fold, parameters: FitParameters, settings: MetricSettings, threads: int
) -> FoldOutcome:
    """Return what parameters reach on the test of a fold, trained as one Ray Train worker alone would train.

    Rounds, weights and calibration are found on the validation period, as in every training. Parameters under
    which the numbers break down are an outcome, not an error: they lose, and the search goes on.

    Args:
        folder: with the kept rows.
        threads: for the trees.
    """
    began = time.perf_counter()
    kept = KeptRows.open(folder)
    try:
        metrics, weights, rounds = _judged(kept, fold, parameters, settings, threads)
    except (np.linalg.LinAlgError, xgb.core.XGBoostError) as error:
        return FoldOutcome(trial=trial, fold=fold.name, failed=str(error).splitlines()[0])
    return FoldOutcome(
        trial=trial,
        fold=fold.name,
        metrics=metrics,
        rounds=rounds,
        lr_share=weights.lr,
        duration_s=time.perf_counter() - began,
    )


def _judged(
    kept: KeptRows, fold: Fold, parameters: FitParameters, settings: MetricSettings, threads: int
) -> tuple[dict[str, dict[str, float]], EnsembleWeights, int]:
    train, validation = (samples(kept, period, fold, parameters) for period in (fold.train, fold.validation))
    fitted = fit_shard(train, validation, parameters, threads=threads)
    xgb_model = BoostedModel(fitted.boosted.booster)
    ensemble = fit_ensemble(
        validation.labels,
        fitted.lr.probability(validation.matrix),
        np.asarray(xgb_model.probability(validation.matrix), np.float64),
    )
    rows = kept.rows
    judged = np.flatnonzero(judged_rows(fold, rows.event_time_ms, rows.customer, rows.labels))
    matrix = kept.matrix[judged]
    lr, trees = fitted.lr.probability(matrix), np.asarray(xgb_model.probability(matrix), np.float64)
    scores = dict(zip(SCORES, (lr, trees, ensemble.probability(lr, trees)), strict=True))
    test = rows.take(judged)
    metrics = {
        name: _defined(metric_values(test, score, settings)(np.ones((rows.customers, 1))))
        for name, score in scores.items()
    }
    return metrics, ensemble.weights, fitted.boosted.rounds


def samples(kept: KeptRows, period: Period, fold: Fold, parameters: FitParameters) -> Samples:
    """Return the rows of a period as they were known when the test began."""
    chosen = kept.between(period)
    known = kept.verdicts.known_by(milliseconds(fold.test.since))[chosen]
    chosen, labels = chosen[known != UNDECIDED], known[known != UNDECIDED].astype(np.float64)
    return Samples(kept.matrix[chosen], labels, parameters.weights(labels))


def _defined(values: dict[str, Floats]) -> dict[str, float]:
    return {name: float(value[0]) for name, value in values.items() if value[0] == value[0]}
