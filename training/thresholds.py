"""Thresholds chosen by what they cost: missed frauds, reviews, and genuine payments that were blocked.

A payment with a probability above ``block`` is blocked, above ``review`` looked at, else approved. On payments
with known labels a pair of thresholds costs

    loss share x amounts of the approved frauds + review cost x reviews
        + wrong block cost x genuine payments blocked

(example-dependent costs: Elkan, 2001; Bahnsen et al., 2013). A fraud that is looked at is assumed to be stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.transaction import Int64s
from training.bundle import Thresholds
from training.costs import Costs
from training.models import Floats

_FINE: Final = (0.001, 0.002, 0.005, *(percent / 100 for percent in range(1, 10)))
GRID: Final = (*_FINE, *(percent / 100 for percent in range(10, 100, 5)), 0.99)
"""Thresholds that are compared: finer where probabilities of rare events lie."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a pair of thresholds would have done.

    Attributes:
        review, block: the thresholds.
        reviews: payments looked at, altogether.
        mean_reviews_a_day, most_reviews_a_day: on a day on average, and on the busiest.
        wrong_blocks: genuine payments blocked.
        caught, caught_minor: frauds looked at or blocked, and their amounts in minor units.
        missed, missed_minor: frauds approved, and their amounts in minor units.
        recall: share of the frauds that were not approved; 0 without frauds.
        review_cost_minor, wrong_block_cost_minor, missed_cost_minor: of reviews, of genuine payments blocked, and
            of frauds approved, in minor units.
        cost_minor: their sum.
        affordable: whether the reviewers would have managed each day.
    """

    review: float
    block: float
    reviews: int
    mean_reviews_a_day: float
    most_reviews_a_day: int
    wrong_blocks: int
    caught: int
    caught_minor: int
    missed: int
    missed_minor: int
    recall: float
    review_cost_minor: float
    wrong_block_cost_minor: float
    missed_cost_minor: float
    cost_minor: float
    affordable: bool

    @property
    def pair(self) -> tuple[float, float]:
        """The thresholds, review and block."""
        return self.review, self.block


@dataclass(frozen=True, slots=True)
class ChosenThresholds:
    """The choice, and the table that it was made from.

    Attributes:
        choice: the one that was made.
        by_review: what each review threshold would have cost with the chosen block threshold, ascending.
        by_block: what each block threshold would have cost with the chosen review threshold, ascending.
    """

    choice: Choice
    by_review: Sequence[Choice]
    by_block: Sequence[Choice]

    @property
    def thresholds(self) -> Thresholds:
        """The thresholds of the choice; prediction is FRAUD from the review threshold on."""
        return Thresholds(block=self.choice.block, review=self.choice.review, fraud=self.choice.review)


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """n payments whose labels are known.

    Attributes:
        labels: (n,) 0.0 or 1.0.
        probability: (n,) of fraud, as it is served.
        amount_minor: (n,).
        day: (n,) any numbering of days.
    """

    labels: Floats
    probability: Floats
    amount_minor: Int64s
    day: Int64s


def choose_thresholds(
    outcomes: Outcomes, costs: Costs | None = None, grid: Sequence[float] = GRID
) -> ChosenThresholds:
    """Return the thresholds that would have cost least, recall favoured, and what each choice would have cost.

    Of all pairs that the reviewers could have managed, the cheapest; then, with its block threshold, the lowest
    review threshold that costs at most ``costs.tolerance`` more.

    Args:
        outcomes: of a validation period, never of the test period.
        costs: None: the defaults.
        grid: ascending thresholds in [0, 1] that are compared.

    Raises:
        ValueError: ``grid`` is empty.
    """
    costs = costs or Costs()
    pairs = every_pair(outcomes, costs, grid)
    choice = recall_favoured(pairs, costs)
    return ChosenThresholds(
        choice,
        [pair for pair in pairs if pair.block == choice.block],
        [pair for pair in pairs if pair.review == choice.review],
    )


def every_pair(outcomes: Outcomes, costs: Costs, grid: Sequence[float]) -> list[Choice]:
    """Return what each pair of thresholds of ``grid`` (ascending) with review <= block would have done.

    Raises:
        ValueError: ``grid`` is empty.
    """
    if not grid:
        raise ValueError("no thresholds to compare")
    tally = _Tally.of(outcomes, grid)
    return [tally.choice(review, block, costs) for block in range(len(grid)) for review in range(block + 1)]


def cheapest(pairs: Sequence[Choice]) -> Choice:
    """Return the pair of least cost that the reviewers could have managed.

    Where two cost the same it is that of the lower thresholds. There always is one among :func:`every_pair`: with
    both thresholds the same, nothing is looked at.
    """
    return min((p for p in pairs if p.affordable), key=lambda pair: (pair.cost_minor, pair.review, pair.block))


def recall_favoured(pairs: Sequence[Choice], costs: Costs) -> Choice:
    """Return the pair of the lowest review threshold that costs hardly more than the :func:`cheapest` pair.

    It has the same block threshold, could have been managed, and costs at most ``costs.tolerance`` more.
    """
    least = cheapest(pairs)
    limit = least.cost_minor * (1 + costs.tolerance)
    near = (p for p in pairs if p.affordable and p.block == least.block and p.cost_minor <= limit)
    return min(near, key=lambda pair: pair.review)


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """Counts above each of g thresholds, from which every pair follows.

    Attributes:
        grid: the thresholds.
        above_by_day: (g, days) payments above each.
        genuine_above: (g,) of them genuine.
        missed, missed_minor: (g,) frauds that are not above, and their amounts.
        frauds, fraud_minor: all of them, and their amounts.
    """

    grid: Sequence[float]
    above_by_day: Int64s
    genuine_above: Int64s
    missed: Int64s
    missed_minor: Int64s
    frauds: int
    fraud_minor: int

    @classmethod
    def of(cls, outcomes: Outcomes, grid: Sequence[float]) -> "_Tally":
        # The number of thresholds that a payment is above: nothing else of its probability matters.
        passed = np.searchsorted(np.array(grid), outcomes.probability, side="left")
        days, day = np.unique(outcomes.day, return_inverse=True)
        levels = len(grid) + 1
        fraud = outcomes.labels == 1
        by_day = np.bincount(passed * len(days) + day, minlength=levels * len(days)).reshape(levels, len(days))
        genuine = np.bincount(passed[~fraud], minlength=levels)
        frauds = np.bincount(passed[fraud], minlength=levels)
        amounts = np.zeros(levels, np.int64)
        np.add.at(amounts, passed[fraud], outcomes.amount_minor[fraud])
        return cls(
            grid,
            by_day[::-1].cumsum(axis=0)[::-1][1:],
            genuine[::-1].cumsum()[::-1][1:],
            frauds.cumsum()[:-1],
            amounts.cumsum()[:-1],
            int(fraud.sum()),
            int(amounts.sum()),
        )

    def choice(self, review: int, block: int, costs: Costs) -> Choice:
        """Return the outcome of the thresholds at two positions of the grid, review <= block."""
        by_day = self.above_by_day[review] - self.above_by_day[block]
        reviews, busiest = int(by_day.sum()), int(by_day.max(initial=0))
        missed, missed_minor = int(self.missed[review]), int(self.missed_minor[review])
        wrong_blocks = int(self.genuine_above[block])
        of_reviews = costs.review_minor * reviews
        of_wrong_blocks = costs.wrong_block_minor * wrong_blocks
        of_missed = costs.loss_share * missed_minor
        return Choice(
            review=self.grid[review],
            block=self.grid[block],
            reviews=reviews,
            mean_reviews_a_day=reviews / max(len(by_day), 1),
            most_reviews_a_day=busiest,
            wrong_blocks=wrong_blocks,
            caught=self.frauds - missed,
            caught_minor=self.fraud_minor - missed_minor,
            missed=missed,
            missed_minor=missed_minor,
            recall=1 - missed / self.frauds if self.frauds else 0.0,
            review_cost_minor=float(of_reviews),
            wrong_block_cost_minor=float(of_wrong_blocks),
            missed_cost_minor=float(of_missed),
            cost_minor=float(of_reviews + of_wrong_blocks + of_missed),
            affordable=costs.reviews_a_day is None or busiest <= costs.reviews_a_day,
        )
