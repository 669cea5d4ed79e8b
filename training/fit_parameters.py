"""What a fit depends on, beside the data and the number of workers."""

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from training.boosting import BoostingParameters
from training.models import Floats


class FitParameters(BaseModel):
    """What a fit depends on, beside the data and the number of workers.

    Attributes:
        l2: strength of the ridge of logistic regression, scikit-learn's 1 / C.
        step_quantiles: parts that the frauds are cut into for the steps of each feature; 1: no steps.
        step_l2: strength of the ridge on the height of a step in log-odds. 10: a step of a third of a nat, odds
            times 1.4, is as dear as half a nat of likelihood.
        fraud_weight: weight of a fraud in both losses. 1, because any other makes the scores something else
            than probabilities and ranks no better (docs/adr/0004-class-imbalance.md).
        seed: of the boosted trees, which draw the features that each split may choose from.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    l2: float = Field(1.0, gt=0)
    step_quantiles: int = Field(10, ge=1, le=100)
    step_l2: float = Field(10.0, gt=0)
    fraud_weight: float = Field(1.0, gt=0)
    boosting: BoostingParameters = BoostingParameters()
    seed: int = 0

    def weights(self, labels: Floats) -> Floats | None:
        """Return the weights (n,) of rows in both losses; None: 1 each."""
        return None if self.fraud_weight == 1 else np.where(labels == 1, self.fraud_weight, 1.0)
