"""A small evaluation result, made up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from features.definitions import DAY_MS
from tests.unit.training.evaluation.held_out_rows import FIRST_DAY, made_up
from training.arrivals import moment
from training.bundle import Period, Thresholds
from training.evaluation.assemble import evaluation_result
from training.evaluation.judged import JudgedFold
from training.evaluation.metrics import MetricSettings
from training.evaluation.protocols import Fold, Published
from training.evaluation.results import EvaluationResult, Subject
from training.evaluation.slices import slices

PUBLISHED = Published(
    mapping="handbook",
    train_rows=1000,
    train_frauds=10,
    test_rows=400,
    test_frauds=40,
    metrics={"lr": {"roc_auc": 0.871}},
)


def judged_fold(seed: int = 0, days_later: int = 0) -> JudgedFold:
    """Return a fold of 400 made-up rows with three scores and groups, one of which has no fraud."""
    rows, scores = made_up(seed=seed)
    start = moment((FIRST_DAY + days_later) * DAY_MS)
    shown = np.asarray(rows.labels == 0) & (rows.customer < 3)
    history = np.where(shown, 0.0, 4.0)
    patterns = [("takeover", "testing")[i % 2] if label else None for i, label in enumerate(rows.labels)]
    groups = slices(rows.labels, rows.amount_minor, history, history, rows.labels, patterns)
    rows = replace(rows, event_time_ms=rows.event_time_ms + days_later * DAY_MS, groupings=groups)
    week = timedelta(days=7)
    period = Period(since=start, until=start + week)
    before = Period(since=start - 2 * week, until=start - week)
    importance = {"amount": 0.5, "is_night": 0.1 * (1 + seed)}
    return JudgedFold(
        fold=Fold(f"{start:%Y-%m-%d}", before, before, period, None),
        rows=rows,
        scores={"lr": scores, "xgb": scores**2, "ensemble": (scores + scores**2) / 2},
        importance=dict.fromkeys(("lr", "xgb", "ensemble"), importance),
        train_rows=1000,
        train_frauds=10,
        left_out=7,
    )


def result(folds: int = 1, *, published: bool = False) -> EvaluationResult:
    return evaluation_result(
        Subject(
            title="Made <up> & judged",
            protocol="weekly",
            source="nobody",
            model="version 1 of 'tollgate'",
            features="product",
            fingerprint="0123456789abcdef",
            history="made_up",
            command="tollgate evaluate",
        ),
        [judged_fold(seed, 7 * seed) for seed in range(folds)],
        MetricSettings(threshold=0.3, top_k=10, replicates=20),
        datetime(2025, 1, 1, tzinfo=UTC),
        policy=Thresholds(),
        published=PUBLISHED if published else None,
    )
