"""What choices of thresholds would have cost on the tests of an evaluation."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from training.bundle import Thresholds
from training.costs import Costs
from training.evaluation.held_out import HeldOut
from training.evaluation.results import ThresholdTable
from training.models import Floats
from training.thresholds import GRID, Outcomes, cheapest, every_pair, recall_favoured

SHOWN_REVIEW: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
SHOWN_BLOCK: Final = (0.5, 0.7, 0.9, 0.99)
"""Of ``GRID``, so many as an eye can compare."""


def threshold_table(
    parts: Sequence[tuple[HeldOut, Floats]], policy: Thresholds, costs: Costs, grid: Sequence[float] = GRID
) -> ThresholdTable:
    """Return what thresholds on a score would have cost.

    Args:
        parts: of each fold the rows and their scores (n,).
        policy: that is served; review <= block. Its thresholds are compared beside those of ``grid``, so that the
            cheapest choice never costs more, if the reviewers manage the policy.
        costs: assumptions on costs, and the capacity of the reviewers.
        grid: ascending thresholds that are compared.
    """
    outcomes = _put_together(parts)
    pairs = every_pair(outcomes, costs, sorted({*grid, policy.review, policy.block}))
    by_pair = {pair.pair: pair for pair in pairs}
    served, least, favoured = (
        by_pair[policy.review, policy.block],
        cheapest(pairs),
        recall_favoured(pairs, costs),
    )
    shown = {(review, block) for review in SHOWN_REVIEW for block in SHOWN_BLOCK}
    shown |= {served.pair, least.pair, favoured.pair}
    frauds = outcomes.labels == 1
    fraud_minor = int(outcomes.amount_minor[frauds].sum())
    return ThresholdTable(
        days=len(np.unique(outcomes.day)),
        rows=len(outcomes.labels),
        frauds=int(frauds.sum()),
        fraud_minor=fraud_minor,
        without_minor=costs.loss_share * fraud_minor,
        served=served,
        cheapest=least,
        favoured=favoured,
        choices=tuple(by_pair[pair] for pair in sorted(shown & by_pair.keys())),
    )


def _put_together(parts: Sequence[tuple[HeldOut, Floats]]) -> Outcomes:
    """Return the outcomes of all folds; a day that two of them share is a day of each."""
    days = [rows.day - rows.day.min(initial=0) for rows, _ in parts]
    begins = np.cumsum([0, *(int(day.max(initial=0)) + 1 for day in days)])
    return Outcomes(
        labels=np.concatenate([rows.labels for rows, _ in parts]),
        probability=np.concatenate([scores for _, scores in parts]),
        amount_minor=np.concatenate([rows.amount_minor for rows, _ in parts]),
        day=np.concatenate([day + begin for day, begin in zip(days, begins[:-1], strict=True)]),
    )
