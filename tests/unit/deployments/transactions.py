"""Small batches for the tests of the policy: named columns, everything else at rest."""

from collections.abc import Sequence

import numpy as np

from features.definitions import FEATURE_NAMES
from features.formulas import Matrix
from features.transaction import Transaction, TransactionBatch


def batch_of(n: int, **words: Sequence[str | None]) -> TransactionBatch:
    """Return n transactions; a keyword gives a column of words."""
    plain = [
        Transaction.model_validate({"timestamp": "2025-05-05T10:00:00Z", "customer_id": f"c{row}", "amount": 1.0})
        for row in range(n)
    ]
    return TransactionBatch.of(
        [t.model_copy(update={name: column[row] for name, column in words.items()}) for row, t in enumerate(plain)]
    )


def matrix_of(n: int, **features: Sequence[float]) -> Matrix:
    """Return a feature matrix of n rows; a keyword gives a column, the other features are 0."""
    matrix = np.zeros((n, len(FEATURE_NAMES)))
    for name, column in features.items():
        matrix[:, FEATURE_NAMES.index(name)] = column
    return matrix
