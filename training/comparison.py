"""What the service answered against what the offline path computes, row for row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from features.definitions import FEATURE_NAMES
from features.formulas import Matrix
from training.bundle import Bundle, EnsembleWeights
from training.models import Floats
from training.scoring_client import Answer

SCORES: Final = ("lr", "xgb", "ensemble")
SCORE_TOLERANCE: Final = 1e-6
"""The service may score with another runtime or batch size: probabilities agree up to float32 rounding."""
EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Example:
    """One value that differs."""

    transaction_id: str
    online: float
    offline: float


@dataclass(slots=True)
class Differences:
    """The values of one column that differ: how many, the first few, and the largest distance of all values."""

    count: int = 0
    largest: float = 0.0
    examples: list[Example] = field(default_factory=list)

    def add(self, ids: Sequence[str], online: Floats, offline: Floats, differs: npt.NDArray[np.bool_]) -> None:
        """Take in values (n,) of transactions, and which of them differ."""
        self.largest = max(self.largest, float(np.abs(online - offline).max(initial=0.0)))
        rows = np.flatnonzero(differs)
        self.count += len(rows)
        for row in rows[: EXAMPLES - len(self.examples)].tolist():
            self.examples.append(Example(ids[row], float(online[row]), float(offline[row])))


class Comparison:
    """Compares answers as they come, and keeps counts alone.

    Args:
        bundle: returns the bundle of a served version.
        weights: of the served ensemble; None: those of the bundle.
    """

    def __init__(self, bundle: Callable[[str], Bundle], weights: EnsembleWeights | None) -> None:
        self._bundle = bundle
        self._weights = weights
        self.compared = 0
        self.features = {name: Differences() for name in FEATURE_NAMES}
        self.scores = {name: Differences() for name in SCORES}
        self.versions: dict[str, int] = {}

    def add(self, answers: Sequence[Answer], offline: Matrix) -> None:
        """Compare n complete answers with the rows (n, features) of the offline matrix."""
        if not answers:
            return
        self.compared += len(answers)
        self._add_features(answers, offline)
        versions = np.array([answer.model_version for answer in answers])
        for version in np.unique(versions).tolist():
            rows = np.flatnonzero(versions == version)
            self.versions[version] = self.versions.get(version, 0) + len(rows)
            self._add_scores([answers[row] for row in rows.tolist()], self._bundle(version), offline[rows])

    def _add_features(self, answers: Sequence[Answer], offline: Matrix) -> None:
        online = np.array([[answer.features[name] for name in FEATURE_NAMES] for answer in answers])
        ids = [answer.transaction_id for answer in answers]
        # Equal means equal: no tolerance, and NaN is equal to nothing.
        differs = online != offline
        for position, differences in enumerate(self.features.values()):
            differences.add(ids, online[:, position], offline[:, position], differs[:, position])

    def _add_scores(self, answers: Sequence[Answer], bundle: Bundle, offline: Matrix) -> None:
        expected = bundle.score(offline)
        lr, xgb = expected.lr, expected.xgb.astype(np.float64)
        columns = {
            "lr": (lr, [answer.model_scores.lr for answer in answers]),
            "xgb": (xgb, [answer.model_scores.xgb for answer in answers]),
            "ensemble": (bundle.combine(lr, xgb, self._weights), [answer.fraud_probability for answer in answers]),
        }
        ids = [answer.transaction_id for answer in answers]
        for name, (wanted, served) in columns.items():
            scores = np.array(served, np.float64)
            # Not "greater than": NaN, for a score that is missing, differs too.
            differs = ~(np.abs(scores - wanted) <= SCORE_TOLERANCE)
            self.scores[name].add(ids, scores, wanted, differs)
