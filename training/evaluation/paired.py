"""Is one score better than another, or is the difference noise? Both are judged on the same payments and samples.

The interval of a difference is that of a paired bootstrap by customer: in each sample both scores see the same
customers, so what makes a week easy or hard for both falls out of the difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from training.evaluation.bootstrap import Estimate
from training.evaluation.held_out import HeldOut
from training.evaluation.metrics import METRIC_NAMES, MetricSettings, compare_scores, metric_values
from training.models import Probabilities

LOWER_IS_BETTER: Final = frozenset({"brier", "calibration_error", "cost"})
DECISIVE: Final = ("average_precision", "brier")
"""What a candidate must not be worse in: the ranking of payments, and the probabilities that policy acts on."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of both scores, and the candidate's less the champion's with its interval."""

    champion: float
    candidate: float
    difference: Estimate


def paired_differences(
    rows: HeldOut, champion: Probabilities, candidate: Probabilities, settings: MetricSettings
) -> dict[str, Difference]:
    """Return the difference of each of ``METRIC_NAMES`` on n held-out payments.

    Args:
        champion, candidate: (n,) probabilities.
        settings: threshold, sample size and the like, for both.
    """
    found = compare_scores([(rows, candidate)], [(rows, champion)], settings)
    everybody = np.ones((rows.customers, 1))
    one, other = (metric_values(rows, scores, settings)(everybody) for scores in (champion, candidate))
    return {
        name: Difference(float(one[name][0]), float(other[name][0]), getattr(found, name)) for name in METRIC_NAMES
    }


def worse_in(differences: Mapping[str, Difference]) -> list[str]:
    """Return the decisive metrics in which the candidate is worse beyond noise: its whole interval is.

    >>> better = Difference(0.6, 0.7, Estimate(0.1, 0.05, 0.15))
    >>> worse = Difference(0.6, 0.5, Estimate(-0.1, -0.15, -0.05))
    >>> worse_in({"average_precision": worse, "brier": worse})
    ['average_precision']
    >>> worse_in({"average_precision": better, "brier": better})
    ['brier']
    """
    found = []
    for name in DECISIVE:
        difference = differences[name].difference
        if difference.low > 0 if name in LOWER_IS_BETTER else difference.high < 0:
            found.append(name)
    return found
