"""Judge a bundle on rows that it has not seen, with the scoring code that serves it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.definitions import FEATURE_NAMES
from features.transaction import Int64s
from training.bundle import Bundle
from training.evaluation.judged import bundle_scores, concatenated
from training.feature_files import EVENT_TIME, LABEL, FeatureTable
from training.feature_rows import to_amounts_minor, to_days, to_labels, to_matrix
from training.metrics import best_f1_threshold
from training.models import Floats
from training.thresholds import Outcomes


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """n rows: labels (n,); under "lr", "xgb" and "ensemble" probabilities (n,); amounts and UTC days (n,)."""

    labels: Floats
    scores: Mapping[str, Floats]
    amount_minor: Int64s
    day: Int64s

    def best_f1_threshold(self) -> float:
        """Return the ensemble's threshold of the highest F1; a hint for the analyst, never set by itself."""
        return best_f1_threshold(self.labels, self.scores["ensemble"])

    def outcomes(self) -> Outcomes:
        """Return what thresholds for the ensemble are chosen on."""
        return Outcomes(self.labels, self.scores["ensemble"], self.amount_minor, self.day)


def score_rows(bundle: Bundle, rows: FeatureTable) -> ScoredRows:
    """Return the scores of ``event_time``, ``is_fraud`` and ``FEATURE_NAMES``, one block in memory at a time."""
    parts = [
        (to_labels(block), bundle_scores(bundle, to_matrix(block)), to_amounts_minor(block), to_days(block))
        for block in rows.blocks([EVENT_TIME, LABEL, *FEATURE_NAMES])
    ]
    labels, scores, amounts, days = zip(*parts, strict=True)
    return ScoredRows(np.concatenate(labels), concatenated(scores), np.concatenate(amounts), np.concatenate(days))
