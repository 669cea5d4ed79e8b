"""Calibration: from the ensemble's score to a probability, by a curve of three numbers that keeps every ranking.

Beta calibration (Kull, Silva Filho and Flach, 2017): ``log-odds = a ln(s) - b ln(1 - s) + c``. With ``a`` and
``b`` above zero it rises strictly, so that two payments never change places; with 1, 1, 0 it changes nothing. It
is fitted on payments later than those of the fit, because scores of the training rows are too sure of themselves.
"""

from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import expit  # type: ignore[import-untyped]

Floats = npt.NDArray[np.float64]

MIN_SLOPE: Final = 0.05
"""Least value of ``a`` and ``b``: a curve that is flatter would make ties in float arithmetic."""
MIN_FRAUDS: Final = 50
"""With fewer frauds the curve is noise, and the scores of unweighted models are nearly calibrated as they are."""
PRIOR: Final = 1.0
"""Strength of the pull towards 1, 1, 0, in nats for a distance of the square root of two."""
_INNERMOST: Final = 1e-15
"""Distance from 0 and 1 at which scores count as they stand; logarithms need one."""
_BISECTIONS: Final = 80
_ROUNDING: Final = 1e-12


class Calibration(BaseModel):
    """A calibration curve, as it stands in the manifest.

    Attributes:
        a, b, c: of the curve.
        rows, frauds: what it was fitted on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    a: Annotated[float, Field(ge=MIN_SLOPE, le=100)]
    b: Annotated[float, Field(ge=MIN_SLOPE, le=100)]
    c: Annotated[float, Field(ge=-100, le=100)]
    rows: int = 0
    frauds: int = 0

    def apply(self, score: Floats) -> Floats:
        """Return the probabilities (n,) of scores (n,) in [0, 1]; a missing one (NaN) stays missing.

        >>> Calibration(a=1, b=1, c=1).apply(np.array([0.25, 0.5, np.nan])).round(3).tolist()
        [0.475, 0.731, nan]
        """
        inner = np.minimum(np.maximum(score, _INNERMOST), 1 - _INNERMOST)
        probability: Floats = expit(self.a * np.log(inner) - self.b * np.log1p(-inner) + self.c)
        return probability

    def highest_score(self, probability: float) -> float:
        """Return, to a rounding, the highest score whose probability is not above the given one.

        What a policy says of probabilities becomes what it says of scores. Below 0 where no score is so low.
        """
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            if self.apply(np.array([middle]))[0] <= probability:
                low = middle
            else:
                high = middle
        # The mean of two equal scores may be one rounding above them.
        return low - _ROUNDING


def fit_calibration(labels: Floats, scores: Floats) -> Calibration | None:
    """Return the curve under which scores (n,) explain the labels (n,) best; None where it could not be trusted.

    The likelihood is penalised for the distance from the curve that changes nothing: few frauds change little.

    Args:
        labels: 0.0 or 1.0, of payments later than those that the scores were fitted on.
        scores: of the ensemble, in [0, 1].
    """
    frauds = int(labels.sum())
    if min(frauds, len(labels) - frauds) < MIN_FRAUDS:
        return None
    inner = np.clip(scores, _INNERMOST, 1 - _INNERMOST)
    design = np.stack([np.log(inner), -np.log1p(-inner), np.ones(len(inner))])
    nothing = np.array([1.0, 1.0, 0.0])

    def loss(point: Floats) -> tuple[float, Floats]:
        log_odds = point @ design
        distance = point - nothing
        value = np.logaddexp(0.0, log_odds).sum() - labels @ log_odds + PRIOR / 2 * distance @ distance
        return float(value), design @ (expit(log_odds) - labels) + PRIOR * distance

    slopes = (MIN_SLOPE, 100.0)
    found = minimize(loss, nothing, jac=True, method="L-BFGS-B", bounds=[slopes, slopes, (-100.0, 100.0)])
    a, b, c = found.x.tolist()
    return Calibration(a=a, b=b, c=c, rows=len(labels), frauds=frauds)
