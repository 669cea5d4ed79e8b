"""Differences of two scores on the same payments."""

import numpy as np
import pytest

from tests.unit.training.evaluation.held_out_rows import made_up
from training.evaluation.bootstrap import Estimate
from training.evaluation.metrics import METRIC_NAMES, MetricSettings, evaluate_scores
from training.evaluation.paired import DECISIVE, Difference, paired_differences, worse_in

SETTINGS = MetricSettings(threshold=0.3, top_k=10, replicates=60)


def test_both_figures_are_those_of_an_evaluation_of_each_alone() -> None:
    rows, champion = made_up()
    candidate = np.sqrt(champion)
    found = paired_differences(rows, champion, candidate, SETTINGS)
    for scores, side in ((champion, "champion"), (candidate, "candidate")):
        alone = evaluate_scores([(rows, scores)], SETTINGS)
        for name in METRIC_NAMES:
            assert getattr(found[name], side) == pytest.approx(getattr(alone, name).value)


def test_the_same_scores_differ_by_nothing_in_every_sample() -> None:
    rows, scores = made_up()
    for difference in paired_differences(rows, scores, scores, SETTINGS).values():
        assert difference.difference == Estimate(0, 0, 0)


def test_the_pairs_make_the_interval_narrower_than_that_of_either_figure() -> None:
    rows, champion = made_up()
    candidate = np.clip(champion + np.random.default_rng(5).normal(0, 0.01, len(champion)), 0, 1)
    paired = paired_differences(rows, champion, candidate, SETTINGS)["average_precision"].difference
    alone = evaluate_scores([(rows, champion)], SETTINGS).average_precision
    assert paired.high - paired.low < (alone.high - alone.low) / 2


def test_a_score_without_sense_is_worse_beyond_noise_and_the_other_way_round_it_is_not() -> None:
    rows, champion = made_up()
    candidate = np.random.default_rng(3).random(len(champion))
    assert worse_in(paired_differences(rows, champion, candidate, SETTINGS)) == list(DECISIVE)
    assert worse_in(paired_differences(rows, candidate, champion, SETTINGS)) == []


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.2, -0.1, ["average_precision"]), (-0.2, 0.0, []), (-0.2, 0.1, []), (0.1, 0.2, ["brier"])],
)
def test_worse_is_where_the_whole_interval_is(low: float, high: float, expected: list[str]) -> None:
    difference = Difference(0.5, 0.5, Estimate((low + high) / 2, low, high))
    assert worse_in(dict.fromkeys(METRIC_NAMES, difference)) == expected
