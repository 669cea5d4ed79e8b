"""Is one score better than another, or is the difference noise? Both are judged on the same payments and samples.

The interval of a difference is that of a paired bootstrap by customer: in each sample both scores see the same
customers, so what makes a week easy or hard for both falls out of the difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from training.evaluation.bootstrap import Estimate, Metrics, estimates
from training.evaluation.held_out import HeldOut
from training.evaluation.metrics import METRIC_NAMES, MetricSettings, metric_values
from training.models import Floats, Probabilities

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
    of_champion = metric_values(rows, champion, settings)
    of_candidate = metric_values(rows, candidate, settings)

    def both(weights: Floats) -> Metrics:
        one, other = of_champion(weights), of_candidate(weights)
        values: dict[str, Floats] = {}
        for name in METRIC_NAMES:
            values[name] = other[name] - one[name]
            values[f"champion {name}"], values[f"candidate {name}"] = one[name], other[name]
        return values

    found = estimates(
        both, rows.customers, replicates=settings.replicates, level=settings.level, seed=settings.seed
    )
    return {
        name: Difference(found[f"champion {name}"].value, found[f"candidate {name}"].value, found[name])
        for name in METRIC_NAMES
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
