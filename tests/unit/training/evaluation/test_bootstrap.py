import numpy as np
import pytest

from training.evaluation.bootstrap import customer_weights, estimates, interval
from training.models import Floats


def test_every_sample_draws_as_many_customers_as_there_are() -> None:
    weights = np.concatenate(list(customer_weights(50, 7, seed=1, at_once=3)), axis=1)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=0) == 50).all()
    assert len({column.tobytes() for column in weights.T}) == 7


def test_the_samples_do_not_depend_on_how_many_are_computed_together() -> None:
    one, all_ = (np.concatenate(list(customer_weights(20, 9, 5, at)), axis=1) for at in (1, 9))
    np.testing.assert_array_equal(one, all_)


def test_the_interval_of_a_mean_is_about_two_standard_errors_each_way() -> None:
    values = np.random.default_rng(0).normal(10, 3, 400)

    def mean(weights: Floats) -> dict[str, Floats]:
        return {"mean": values @ weights / weights.sum(axis=0)}

    found = estimates(mean, 400, replicates=2000)["mean"]
    error = values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_without_samples_the_interval_is_the_value() -> None:
    found = estimates(lambda weights: {"sum": weights.sum(axis=0)}, 3, replicates=0)["sum"]
    assert (found.value, found.low, found.high) == (3.0, 3.0, 3.0)


def test_samples_without_the_metric_are_left_out_of_the_interval() -> None:
    assert interval(np.array([np.nan, 2.0]), 0.95) == (2.0, 2.0)
    assert np.isnan(interval(np.array([np.nan]), 0.95)).all()
