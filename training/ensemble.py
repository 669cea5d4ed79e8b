"""The ensemble: the weights of the two models and the calibration of their mean, found on a validation period."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.metrics import average_precision_score  # type: ignore[import-untyped]

from training.bundle import EnsembleWeights
from training.calibration import Calibration, fit_calibration
from training.models import Floats

SHARES: Final = tuple(round(share, 2) for share in np.linspace(0.05, 0.95, 19).tolist())
"""Shares of logistic regression that are tried. Both models count, so that one can stand in for the other."""
MIN_FRAUDS: Final = 100
"""With fewer frauds the difference between two weights is noise."""
MIN_GAIN: Final = 0.001
"""Average precision that other weights must gain over the default ones to be worth explaining."""


@dataclass(frozen=True, slots=True)
class Ensemble:
    """How the scores of two models become one probability; the manifest of a bundle holds both parts."""

    weights: EnsembleWeights
    calibration: Calibration | None

    def probability(self, lr: Floats, xgb: Floats) -> Floats:
        """Return the fraud probability (n,) that the probabilities (n,) of the two models become."""
        combined = self.weights.combine(lr, xgb)
        return combined if self.calibration is None else self.calibration.apply(combined)


def fit_ensemble(labels: Floats, lr: Floats, xgb: Floats) -> Ensemble:
    """Return the weights that rank best, and the curve that makes their mean a probability.

    Args:
        labels: (n,) 0.0 or 1.0, of payments that neither model was fitted on, later than those if there are such.
        lr, xgb: (n,) probabilities of the two models.
    """
    weights = choose_weights(labels, lr, xgb)
    return Ensemble(weights, fit_calibration(labels, weights.combine(lr, xgb)))


def choose_weights(labels: Floats, lr: Floats, xgb: Floats) -> EnsembleWeights:
    """Return the weights whose ensemble ranks best by average precision, or the default ones.

    The default, half and half, stays where there are too few frauds to tell, and where nothing else is better by
    ``MIN_GAIN``.

    Args:
        labels: (n,) 0.0 or 1.0, of a validation period.
        lr, xgb: (n,) probabilities of the two models.

    >>> choose_weights(np.array([0.0, 1.0]), np.array([0.1, 0.2]), np.array([0.1, 0.2]))
    EnsembleWeights(lr=0.5, xgb=0.5)
    """
    default = EnsembleWeights()
    if labels.sum() < MIN_FRAUDS:
        return default
    ranked = {share: _average_precision(labels, lr, xgb, _weights(share)) for share in SHARES}
    best = max(ranked, key=ranked.__getitem__)
    gain = ranked[best] - _average_precision(labels, lr, xgb, default)
    return _weights(best) if gain >= MIN_GAIN else default


def _weights(share: float) -> EnsembleWeights:
    return EnsembleWeights(lr=share, xgb=round(1 - share, 2))


def _average_precision(labels: Floats, lr: Floats, xgb: Floats, weights: EnsembleWeights) -> float:
    return float(average_precision_score(labels, weights.combine(lr, xgb)))
