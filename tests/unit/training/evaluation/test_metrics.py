import numpy as np
import pytest

from tests.unit.training.evaluation.held_out_rows import made_up
from training.costs import Costs
from training.evaluation.metrics import METRIC_NAMES, MetricSettings, compare_scores, evaluate_scores

SETTINGS = MetricSettings(threshold=0.3, top_k=10, replicates=50)


def test_every_metric_lies_within_its_interval_and_intervals_are_reproducible() -> None:
    rows, scores = made_up()
    found = evaluate_scores([(rows, scores)], SETTINGS)
    assert found == evaluate_scores([(rows, scores)], SETTINGS)
    for name in METRIC_NAMES:
        estimate = getattr(found, name)
        assert estimate.low < estimate.high
        # The calibration error of a resampled set is biased upwards, as an absolute value is; no others are.
        assert estimate.low <= estimate.value <= estimate.high or name == "calibration_error"


def test_several_folds_are_averaged_and_the_interval_is_that_of_the_mean() -> None:
    first, second = made_up(seed=1), made_up(seed=2)
    both = evaluate_scores([first, second], SETTINGS)
    each = [evaluate_scores([fold], SETTINGS).roc_auc for fold in (first, second)]
    assert both.roc_auc.value == pytest.approx(np.mean([one.value for one in each]))
    assert both.roc_auc.high - both.roc_auc.low < max(one.high - one.low for one in each)


def test_a_difference_is_judged_on_the_same_customers_and_so_is_narrower_than_its_parts() -> None:
    rows, scores = made_up(rows=2000, customers=200)
    worse = np.clip(scores + 0.05 * np.random.default_rng(1).random(len(scores)), 0, 1)
    better, other = (evaluate_scores([(rows, one)], SETTINGS).roc_auc for one in (scores, worse))
    difference = compare_scores([(rows, scores)], [(rows, worse)], SETTINGS).roc_auc
    assert difference.value == pytest.approx(better.value - other.value)
    assert difference.high - difference.low < (better.high - better.low) / 2


def test_a_score_does_not_differ_from_itself() -> None:
    fold = made_up()
    found = compare_scores([fold], [fold], SETTINGS)
    assert all(getattr(found, name).low == 0 == getattr(found, name).high for name in METRIC_NAMES)


def test_settings_of_earlier_model_cards_are_read() -> None:
    earlier = MetricSettings.model_validate({"threshold": 0.4, "review_cost_minor": 250})
    assert earlier == MetricSettings(threshold=0.4, costs=Costs(review_minor=250))
    assert MetricSettings.model_validate_json(earlier.model_dump_json()) == earlier
