"""What decisions cost: reviews, genuine payments that were blocked, and frauds that were missed."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

MINOR_UNITS: Final = 100
"""Minor units in a major one."""


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
