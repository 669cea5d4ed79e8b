"""The weights of the ensemble: half and half, unless others rank better where it can be told."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]

from training.bundle import EnsembleWeights
from training.ensemble import MIN_FRAUDS, SHARES, choose_weights, fit_ensemble
from training.models import Floats

HALVES = EnsembleWeights(lr=0.5, xgb=0.5)


def scored(lr_noise: float, xgb_noise: float, rows: int = 20_000) -> tuple[Floats, Floats, Floats]:
    """Return labels, and probabilities of two models that see the truth through noise."""
    rng = np.random.default_rng(3)
    labels = (rng.random(rows) < 0.02).astype(np.float64)
    lr, xgb = (1 / (1 + np.exp(4 - 6 * labels - rng.normal(0, noise, rows))) for noise in (lr_noise, xgb_noise))
    return labels, lr, xgb


def test_the_better_model_weighs_more() -> None:
    assert choose_weights(*scored(5.0, 2.0)).xgb > 0.6
    assert choose_weights(*scored(2.0, 5.0)).lr > 0.6


def test_no_other_weights_that_are_tried_rank_better() -> None:
    labels, lr, xgb = scored(3.0, 2.0)
    chosen = choose_weights(labels, lr, xgb).combine(lr, xgb)
    best = max(average_precision_score(labels, share * lr + (1 - share) * xgb) for share in SHARES)
    assert average_precision_score(labels, chosen) == pytest.approx(best, abs=1e-12)


def test_models_of_the_same_rank_stay_half_and_half() -> None:
    labels, lr, _ = scored(3.0, 3.0)
    assert choose_weights(labels, lr, lr) == HALVES


def test_with_too_few_frauds_they_stay_half_and_half() -> None:
    labels, lr, xgb = scored(5.0, 2.0)
    few = np.flatnonzero((labels == 0) | (np.cumsum(labels) < MIN_FRAUDS))
    assert choose_weights(labels[few], lr[few], xgb[few]) == HALVES


def test_both_models_always_count() -> None:
    labels, _, xgb = scored(5.0, 2.0)
    noise = np.random.default_rng(0).random(len(labels))
    assert choose_weights(labels, noise, xgb).lr == min(SHARES) > 0


def test_the_curve_is_fitted_on_the_weighted_mean() -> None:
    labels, lr, xgb = scored(3.0, 2.0)
    ensemble = fit_ensemble(labels, lr, xgb)
    assert ensemble.calibration is not None
    probability = ensemble.calibration.apply(ensemble.weights.combine(lr, xgb))
    assert probability.mean() == pytest.approx(labels.mean(), rel=0.02)
