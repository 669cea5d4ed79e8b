"""The options on what decisions cost, of every command that weighs thresholds."""

from typing import Annotated, Final

import typer

from training.costs import MINOR_UNITS, Costs

_DEFAULTS: Final = Costs()
REVIEW_COST: Final = _DEFAULTS.review_minor / MINOR_UNITS
WRONG_BLOCK_COST: Final = _DEFAULTS.wrong_block_minor / MINOR_UNITS
LOSS_SHARE: Final = _DEFAULTS.loss_share

ReviewCost = Annotated[float, typer.Option(min=0, help="Cost of looking at one payment, in major units.")]
WrongBlockCost = Annotated[
    float,
    typer.Option(min=0, help="Cost of blocking a genuine payment, in major units; weighs thresholds alone."),
]
LossShare = Annotated[
    float, typer.Option(min=0.01, max=1, help="Share of the amount of a missed fraud that is lost.")
]
ReviewsADay = Annotated[
    int | None, typer.Option(min=0, help="Reviews that the reviewers manage a day; default: any number.")
]


def costs_of(review_cost: float, wrong_block_cost: float, loss_share: float, reviews_a_day: int | None) -> Costs:
    """Return the costs that the options state, of which the first two are in major units."""
    return Costs(
        review_minor=MINOR_UNITS * review_cost,
        wrong_block_minor=MINOR_UNITS * wrong_block_cost,
        loss_share=loss_share,
        reviews_a_day=reviews_a_day,
    )
