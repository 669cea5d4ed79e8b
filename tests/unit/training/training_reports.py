"""A training report, made up, whose thresholds are chosen by the costs that were given."""

from datetime import UTC, datetime, timedelta

from tests.unit.training.evaluation.held_out_rows import made_up
from training.bundle import EnsembleWeights, Period, Thresholds
from training.costs import Costs
from training.fit import FitFacts
from training.metrics import score_metrics
from training.registry import RegisteredVersion
from training.report import TrainingReport
from training.split import PartCounts, Split
from training.thresholds import Outcomes, choose_thresholds

DAY = datetime(2025, 6, 1, tzinfo=UTC)


def training_report(costs: Costs, *, apply_thresholds: bool = False) -> TrainingReport:
    rows, scores = made_up()
    metrics = score_metrics(rows.labels, scores, 0.5)
    by_cost = choose_thresholds(Outcomes(rows.labels, scores, rows.amount_minor, rows.day), costs)
    return TrainingReport(
        version=RegisteredVersion("tollgate", "7", "run", {"data_sha256": "0" * 64}),
        alias=None,
        split=Split(*(Period(since=DAY + i * timedelta(7), until=DAY + (i + 1) * timedelta(7)) for i in range(5))),
        counts={"train": PartCounts(400, 40, 0)},
        metrics={"ensemble": metrics},
        best_f1_threshold=0.4,
        by_cost=by_cost,
        thresholds=by_cost.thresholds if apply_thresholds else Thresholds(),
        ensemble=EnsembleWeights(),
        facts=FitFacts(5, True, 10, 20, 0.1, 0, 1.0, 1.0),
        durations_s={"fit": 1.0},
    )
