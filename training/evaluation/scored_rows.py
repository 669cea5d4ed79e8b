"""Judge a bundle on rows that it has not seen, with the scoring code that serves it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import ray.data

from training.bundle import Bundle
from training.evaluation.judged import bundle_scores, concatenated
from training.feature_rows import to_labels, to_matrix
from training.metrics import ScoreMetrics, best_f1_threshold, score_metrics
from training.models import Floats


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Labels (n,) and, under "lr", "xgb" and "ensemble", probabilities (n,)."""

    labels: Floats
    scores: Mapping[str, Floats]

    def metrics(self, threshold: float) -> dict[str, ScoreMetrics]:
        """Return the metrics of each score."""
        return {name: score_metrics(self.labels, scores, threshold) for name, scores in self.scores.items()}

    def best_f1_threshold(self) -> float:
        """Return the ensemble's threshold of the highest F1; a hint for the analyst, never set by itself."""
        return best_f1_threshold(self.labels, self.scores["ensemble"])


def score_rows(bundle: Bundle, rows: ray.data.Dataset) -> ScoredRows:
    """Return the scores of ``FEATURE_NAMES`` and ``is_fraud``; one block of features is in memory at a time."""
    labels: list[Floats] = []
    scores: list[dict[str, Floats]] = []
    for table in rows.iter_batches(batch_size=None, batch_format="pyarrow"):
        if len(table):
            labels.append(to_labels(table))
            scores.append(bundle_scores(bundle, to_matrix(table)))
    return ScoredRows(np.concatenate(labels), concatenated(scores))
