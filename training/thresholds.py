"""Thresholds chosen by what they cost: missed frauds, reviews, and genuine payments that were blocked.

A payment with a probability above ``block`` is blocked, above ``review`` looked at, else approved. On payments
with known labels a pair of thresholds costs

    the amounts of the approved frauds + review cost x reviews + wrong block cost x genuine payments blocked

(example-dependent costs: Elkan, 2001; Bahnsen et al., 2013). A fraud that is looked at is assumed to be stopped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from features.transaction import Int64s
from training.bundle import Thresholds
from training.models import Floats

_FINE: Final = (0.001, 0.002, 0.005, *(percent / 100 for percent in range(1, 10)))
GRID: Final = (*_FINE, *(percent / 100 for percent in range(10, 100, 5)), 0.99)
"""Thresholds that are compared: finer where probabilities of rare events lie."""


class Costs(BaseModel):
    """What outcomes cost. The defaults are assumptions to be replaced by a bank's own figures.

    Attributes:
        review_minor: of one review, in minor units: ten minutes of an analyst.
        wrong_block_minor: of a genuine payment that is blocked, in minor units: a call to the customer service,
            and some customers who leave.
        loss_share: of the amount of a missed fraud that is lost; below 1 where some is recovered.
        reviews_a_day: that the reviewers manage on any day; None: as many as there are.
        tolerance: how much more than the cheapest choice a lower review threshold may cost, as a share. Recall is
            favoured: a missed fraud also costs trust, which no figure here holds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    review_minor: Annotated[float, Field(ge=0)] = 500
    wrong_block_minor: Annotated[float, Field(ge=0)] = 5000
    loss_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    reviews_a_day: Annotated[int, Field(ge=0)] | None = None
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """What a pair of thresholds would have done.

    Attributes:
        review, block: the thresholds.
        reviews, most_reviews_a_day: payments looked at, altogether and on the busiest day.
        wrong_blocks: genuine payments blocked.
        missed, missed_minor: frauds approved, and their amounts in minor units.
        recall: share of the frauds that were not approved; 0 without frauds.
        cost_minor: of all of it, in minor units.
        affordable: whether the reviewers would have managed each day.
    """

    review: float
    block: float
    reviews: int
    most_reviews_a_day: int
    wrong_blocks: int
    missed: int
    missed_minor: int
    recall: float
    cost_minor: float
    affordable: bool


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
    review threshold that costs at most ``costs.tolerance`` more. Where no pair is manageable, the one with the
    fewest reviews on its busiest day is taken.

    Args:
        outcomes: of a validation period, never of the test period.
        costs: None: the defaults.
        grid: ascending thresholds in [0, 1] that are compared.

    Raises:
        ValueError: ``grid`` is empty.
    """
    if not grid:
        raise ValueError("no thresholds to compare")
    costs = costs or Costs()
    tally = _Tally.of(outcomes, grid)
    pairs = [tally.choice(review, block, costs) for block in range(len(grid)) for review in range(block + 1)]
    affordable = [pair for pair in pairs if pair.affordable]
    if affordable:
        cheapest = min(affordable, key=lambda pair: (pair.cost_minor, pair.review, pair.block))
        limit = cheapest.cost_minor * (1 + costs.tolerance)
        near = (p for p in affordable if p.block == cheapest.block and p.cost_minor <= limit)
        choice = min(near, key=lambda pair: pair.review)
    else:
        choice = min(pairs, key=lambda pair: (pair.most_reviews_a_day, pair.cost_minor))
    return ChosenThresholds(
        choice,
        [pair for pair in pairs if pair.block == choice.block],
        [pair for pair in pairs if pair.review == choice.review],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """Counts above each of g thresholds, from which every pair follows.

    Attributes:
        grid: the thresholds.
        above_by_day: (g, days) payments above each.
        genuine_above: (g,) of them genuine.
        missed, missed_minor: (g,) frauds that are not above, and their amounts.
        frauds: all of them.
    """

    grid: Sequence[float]
    above_by_day: Int64s
    genuine_above: Int64s
    missed: Int64s
    missed_minor: Int64s
    frauds: int

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
        )

    def choice(self, review: int, block: int, costs: Costs) -> Choice:
        """Return the outcome of the thresholds at two positions of the grid, review <= block."""
        reviews = self.above_by_day[review] - self.above_by_day[block]
        busiest = int(reviews.max(initial=0))
        missed, missed_minor = int(self.missed[review]), int(self.missed_minor[review])
        wrong_blocks = int(self.genuine_above[block])
        cost = (
            costs.loss_share * missed_minor
            + costs.review_minor * int(reviews.sum())
            + costs.wrong_block_minor * wrong_blocks
        )
        return Choice(
            review=self.grid[review],
            block=self.grid[block],
            reviews=int(reviews.sum()),
            most_reviews_a_day=busiest,
            wrong_blocks=wrong_blocks,
            missed=missed,
            missed_minor=missed_minor,
            recall=1 - missed / self.frauds if self.frauds else 0.0,
            cost_minor=float(cost),
            affordable=costs.reviews_a_day is None or busiest <= costs.reviews_a_day,
        )
