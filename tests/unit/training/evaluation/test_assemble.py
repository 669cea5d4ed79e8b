from dataclasses import asdict

import numpy as np
import pytest

from tests.unit.training.evaluation.results import judged_fold, result
from training.bundle import Thresholds
from training.evaluation.assemble import evaluation_result, steps
from training.evaluation.curves import POINTS
from training.evaluation.metrics import METRIC_NAMES, evaluate_scores
from training.evaluation.results import EvaluationResult


def test_the_overall_metrics_are_those_of_the_scores() -> None:
    found, fold = result(), judged_fold()
    for score, metrics in found.overall.items():
        assert metrics == evaluate_scores([(fold.rows, fold.scores[score])], found.settings)
    assert found.folds[0].scores == found.overall


def test_a_slice_is_the_evaluation_of_its_rows_alone() -> None:
    found, fold = result(), judged_fold()
    for one in found.slices:
        chosen = fold.rows.groupings[one.grouping].rows(one.name)
        assert (one.rows, one.frauds) == (chosen.sum(), fold.rows.labels[chosen].sum())
        expected = evaluate_scores([(fold.rows.take(chosen), fold.scores["xgb"][chosen])], found.settings)
        np.testing.assert_equal(asdict(one.scores["xgb"].recall), asdict(expected.recall))


def test_a_slice_without_frauds_has_counts_but_no_ranking() -> None:
    (new,) = (one for one in result().slices if one.grouping == "customer" and one.name.startswith("new"))
    assert new.frauds == 0 < new.rows
    assert np.isnan(new.scores["lr"].roc_auc.value)
    assert np.isnan(new.scores["lr"].recall.value)
    assert new.scores["lr"].precision.value == 0.0


def test_a_kind_of_fraud_is_not_judged_by_what_the_other_kinds_would_belong_to() -> None:
    found = result(folds=2)
    patterns = [one for one in found.slices if one.grouping == "fraud pattern"]
    assert {one.name for one in patterns} == {"takeover", "testing"}
    missing = {"card_precision", "precision", "f1", "brier", "calibration_error", "cost", "savings"}
    for one in patterns:
        metrics = asdict(one.scores["ensemble"])
        assert {name for name, estimate in metrics.items() if np.isnan(estimate["value"])} == missing
    (known,) = (one for one in found.slices if one.grouping == "customer" and one.name == "known")
    assert not any(np.isnan(estimate["value"]) for estimate in asdict(known.scores["ensemble"]).values())


def test_several_folds_have_metrics_each_and_their_mean_over_all() -> None:
    found = result(folds=3)
    assert [fold.name for fold in found.folds] == ["2016-07-18", "2016-07-25", "2016-08-01"]
    values = [fold.scores["lr"].roc_auc.value for fold in found.folds]
    assert found.overall["lr"].roc_auc.value == pytest.approx(np.mean(values))
    assert found.importance["lr"] == {"amount": 0.5, "is_night": pytest.approx(0.2)}


def test_card_precision_of_the_days_has_the_mean_that_is_reported() -> None:
    found = result()
    by_day = [day.precision["ensemble"] for day in found.card_days]
    assert len(by_day) == 5
    assert np.mean(by_day) == pytest.approx(found.overall["ensemble"].card_precision.value)


def test_the_curves_end_where_everything_is_flagged() -> None:
    for curves in result().curves.values():
        assert (curves.roc.x[0], curves.roc.y[0]) == (0.0, 0.0)
        assert (curves.roc.x[-1], curves.roc.y[-1]) == (1.0, 1.0)
        assert curves.precision_recall.x[-1] == 1.0
        assert len(curves.roc.x) <= 2 * POINTS + 1
        assert sum(curves.genuine) + sum(curves.fraud) == sum(curves.reliability_rows) == 400


def test_the_cost_curve_passes_through_the_reported_cost() -> None:
    found = result()
    for score, curves in found.curves.items():
        at = curves.cost.x.index(found.settings.threshold)
        assert curves.cost.y[at] == pytest.approx(found.overall[score].cost.value)


def test_a_result_survives_json_with_figures_that_are_undefined() -> None:
    found = result(published=True)
    again = EvaluationResult.model_validate_json(found.model_dump_json())
    assert again.model_dump_json() == found.model_dump_json()
    assert again.overall == found.overall


def test_the_figures_for_mlflow_are_numbers_with_flat_names() -> None:
    figures = result().figures
    assert len(figures) == 3 * 3 * len(METRIC_NAMES)
    assert {"ensemble_average_precision", "xgb_brier_low"} <= set(figures)
    assert all(value == value for value in figures.values())


def test_every_announced_step_is_taken() -> None:
    taken: list[int] = []
    found = result(folds=2)
    folds = [judged_fold(seed, 7 * seed) for seed in range(2)]
    evaluation_result(
        found.subject,
        folds,
        found.settings,
        found.created_at,
        policy=Thresholds(),
        advance=lambda: taken.append(1),
    )
    assert len(taken) == steps(folds)


def test_published_sizes_are_recognised() -> None:
    found = result(published=True)
    assert not found.has_published_sizes
    assert found.published is not None
    frauds = found.folds[0].frauds
    asked = found.published.model_copy(update={"test_frauds": frauds})
    assert found.model_copy(update={"published": asked}).has_published_sizes
