"""Judged folds to the result of an evaluation: metrics with intervals, by fold and by slice, and curves."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import numpy as np

from training.bundle import Thresholds
from training.evaluation.bootstrap import Estimate
from training.evaluation.card_precision import card_days, card_precision_by_day
from training.evaluation.curves import score_curves
from training.evaluation.held_out import IN_ALL, Grouping
from training.evaluation.judged import JudgedFold
from training.evaluation.metrics import Evaluated, MetricSettings, evaluate_scores
from training.evaluation.protocols import Published
from training.evaluation.results import CardDay, EvaluationResult, FoldResult, SliceResult, Subject
from training.evaluation.threshold_table import threshold_table
from training.history_files import day_of

_NONE: Final = Grouping((), np.zeros(0, np.int8))
_UNDEFINED: Final = Estimate(float("nan"), float("nan"), float("nan"))
_OF_ALL_PAYMENTS: Final = (
    *("card_precision", "precision", "f1"),
    *("brier", "calibration_error", "cost", "savings"),
)
"""Metrics that are read as those of all payments, and mean nothing where frauds of other kinds are left out."""


def evaluation_result(
    subject: Subject,
    judged: Sequence[JudgedFold],
    settings: MetricSettings,
    created_at: datetime,
    *,
    policy: Thresholds,
    published: Published | None = None,
    advance: Callable[[], None] = lambda: None,
) -> EvaluationResult:
    """Return the result of some folds.

    Args:
        judged: of one protocol, so that their rows share the codes of customers.
        policy: the thresholds that decide in service.
        published: what others measured, shown beside it.
        advance: called after each of :func:`steps` steps.
    """

    def evaluated(parts: Sequence[JudgedFold]) -> dict[str, Evaluated]:
        found = {
            score: evaluate_scores([(part.rows, part.scores[score]) for part in parts], settings)
            for score in judged[0].scores
        }
        advance()
        return found

    overall = evaluated(judged)
    folds = [_fold(one, overall if len(judged) == 1 else evaluated([one])) for one in judged]
    return EvaluationResult(
        subject=subject,
        created_at=created_at,
        settings=settings,
        folds=tuple(folds),
        overall=overall,
        slices=tuple(_slice(judged, grouping, name, evaluated) for grouping, name in _groups(judged)),
        curves={
            score: score_curves([(one.rows, one.scores[score]) for one in judged], settings)
            for score in judged[0].scores
        },
        thresholds={
            score: threshold_table([(one.rows, one.scores[score]) for one in judged], policy, settings.costs)
            for score in judged[0].scores
        },
        card_days=tuple(day for one in judged for day in _card_days(one, settings.top_k)),
        importance={score: _mean_importance(judged, score) for score in judged[0].scores},
        published=published,
    )


def steps(judged: Sequence[JudgedFold]) -> int:
    """Return how many steps :func:`evaluation_result` takes."""
    return 1 + (len(judged) if len(judged) > 1 else 0) + len(_groups(judged))


def _fold(judged: JudgedFold, scores: dict[str, Evaluated]) -> FoldResult:
    fold, rows = judged.fold, judged.rows
    return FoldResult(
        name=fold.name,
        train=fold.train,
        validation=fold.validation,
        test=fold.test,
        train_rows=judged.train_rows,
        train_frauds=judged.train_frauds,
        rows=len(rows),
        frauds=int(rows.labels.sum()),
        customers=len(np.unique(rows.customer)),
        left_out=judged.left_out,
        scores=scores,
    )


def _groups(judged: Sequence[JudgedFold]) -> list[tuple[str, str]]:
    """Return each (grouping, group) that holds a row in some fold, in the order of the first fold."""
    found: dict[tuple[str, str], None] = {}
    for one in judged:
        for title, grouping in one.rows.groupings.items():
            for position, name in enumerate(grouping.names):
                if (grouping.code == position).any():
                    found.setdefault((title, name))
    return list(found)


def _slice(
    judged: Sequence[JudgedFold],
    grouping: str,
    name: str,
    evaluated: Callable[[Sequence[JudgedFold]], dict[str, Evaluated]],
) -> SliceResult:
    groups = [
        one.within(grouping, name) for one in judged if name in one.rows.groupings.get(grouping, _NONE).names
    ]
    parts = [part for part in groups if len(part.rows)]
    shared = any((one.rows.groupings.get(grouping, _NONE).code == IN_ALL).any() for one in judged)
    return SliceResult(
        grouping=grouping,
        name=name,
        rows=sum(len(part.rows) for part in parts),
        frauds=sum(int(part.rows.labels.sum()) for part in parts),
        scores={score: _of_one_kind(one) if shared else one for score, one in evaluated(parts).items()},
    )


def _of_one_kind(metrics: Evaluated) -> Evaluated:
    """Return the metrics of one kind of fraud among all genuine payments, without those of all payments."""
    return replace(metrics, **dict.fromkeys(_OF_ALL_PAYMENTS, _UNDEFINED))


def _card_days(judged: JudgedFold, top_k: int) -> list[CardDay]:
    rows = judged.rows
    weights = np.ones((rows.customers, 1))
    days = np.unique(rows.day)
    by_score = {
        score: card_precision_by_day(card_days(rows.day, rows.customer, rows.labels, values), top_k, weights)
        for score, values in judged.scores.items()
    }
    return [
        CardDay(
            day=day_of(int(day)),
            precision={score: float(values[position, 0]) for score, values in by_score.items()},
        )
        for position, day in enumerate(days)
    ]


def _mean_importance(judged: Sequence[JudgedFold], score: str) -> dict[str, float]:
    names = judged[0].importance[score]
    means = {name: float(np.mean([one.importance[score][name] for one in judged])) for name in names}
    return dict(sorted(means.items(), key=lambda item: -item[1]))
