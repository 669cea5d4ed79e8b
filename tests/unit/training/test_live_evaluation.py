"""Served scores as an evaluation takes them, and what counts as a difference."""

from dataclasses import replace

import numpy as np
import pytest

from deployments.settings import Thresholds as PolicyThresholds
from tests.unit.training.bundles import small_bundle
from tests.unit.training.evaluation.results import result as made_up_result
from training.bundle import EnsembleWeights, Thresholds
from training.evaluation.errors import EvaluationRefused
from training.evaluation.results import EvaluationResult
from training.live_evaluation import _as_served, _scores, different_metrics
from training.scoring_client import Answer, ModelScores, ServedModel, Weights


def answer(transaction_id: str, lr: float | None, xgb: float | None = 0.5) -> Answer:
    return Answer(
        transaction_id=transaction_id,
        prediction="LEGIT",
        decision="APPROVE",
        fraud_probability=0.25,
        model_scores=ModelScores(lr=lr, xgb=xgb),
        model_version="1",
        degraded=(),
        features={},
    )


def moved(result: EvaluationResult, by: float) -> EvaluationResult:
    """The same result with another average precision of the ensemble."""
    metrics = result.overall["ensemble"]
    precision = replace(metrics.average_precision, value=metrics.average_precision.value + by)
    overall = {**result.overall, "ensemble": replace(metrics, average_precision=precision)}
    return result.model_copy(update={"overall": overall})


def test_scores_come_in_the_order_of_the_payments() -> None:
    answers = {"b": answer("b", 0.2), "a": answer("a", 0.1), "c": answer("c", 0.3)}
    scores = _scores(answers, ["a", "b"])
    np.testing.assert_array_equal(scores["lr"], [0.1, 0.2])
    np.testing.assert_array_equal(scores["xgb"], [0.5, 0.5])
    np.testing.assert_array_equal(scores["ensemble"], [0.25, 0.25])


@pytest.mark.parametrize("answers", [{}, {"a": answer("a", None)}, {"a": answer("a", 0.1, None)}])
def test_a_payment_without_a_score_is_told_and_not_left_out(answers: dict[str, Answer]) -> None:
    with pytest.raises(EvaluationRefused, match="1 of 1 payments have no served score"):
        _scores(answers, ["a"])


def test_equal_metrics_differ_in_nothing_and_one_that_moved_is_named() -> None:
    result = made_up_result()
    assert different_metrics(result, result) == {}
    assert different_metrics(moved(result, 5e-7), result) == {}
    assert different_metrics(moved(result, 3e-6), result) == {"ensemble average_precision": pytest.approx(3e-6)}


def test_the_weights_of_the_policy_in_service_are_those_that_are_judged() -> None:
    bundle = small_bundle()
    assert _as_served(bundle, None) is bundle
    assert _as_served(bundle, Weights(lr=3, xgb=1)).manifest.ensemble == EnsembleWeights(lr=0.75, xgb=0.25)


def test_the_thresholds_of_the_policy_in_service_are_read() -> None:
    acting = PolicyThresholds(block=0.8, review=0.2, fraud=0.3)
    told = {"name": "tollgate", "version": "1", "fingerprint": "0", "policy": {"thresholds": acting.model_dump()}}
    assert ServedModel.model_validate(told).policy.thresholds == Thresholds(block=0.8, review=0.2, fraud=0.3)
    assert ServedModel.model_validate({**told, "policy": {}}).policy.thresholds is None
