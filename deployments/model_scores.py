"""What a model says of a batch: its scores, and what each feature added to those of the rows in doubt."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deployments.decision import Fired, Scores
from features.formulas import Matrix
from features.transaction import Int64s
from training.registry import BoostedModel, LogisticModel

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ModelScores:
    """What one model says of a batch of n transactions.

    Attributes:
        scores: (n,) fraud probabilities.
        rows: (m,) the rows that are explained.
        contributions: (m, features) what each feature adds to the log-odds of those rows.
    """

    scores: Scores
    rows: Int64s
    contributions: Matrix


def explained(
    model: LogisticModel | BoostedModel, scores: Scores, matrix: Matrix, suspect: Bools, above: float
) -> ModelScores:
    """Return the scores (n,) of a model with what it adds to them, for the rows that need it.

    Args:
        suspect: (n,) rows to explain whatever their score.
        above: rows are explained, too, when they score above it.
    """
    rows = np.flatnonzero(suspect | (scores > above))
    contributions = model.contributions(matrix[rows]) if len(rows) else np.empty((0, matrix.shape[1]))
    return ModelScores(scores, rows, contributions)


def suspects(fired: Fired, count: int) -> Bools:
    """Return which of so many rows a rule fired for: they will need an explanation, whatever they score."""
    suspect = np.zeros(count, np.bool_)
    for _, rows in fired:
        suspect |= rows
    return suspect
