"""Newton's method equals scikit-learn's solver, on one worker and on several."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES
from tests.unit.training.bundles import TRANSFORMS, made_up_samples
from tests.unit.training.ranks import Ranks
from training.logistic import LogisticFit, newton
from training.models import Floats
from training.samples import Samples
from training.steps import learn_places


def fit_on_ranks(samples: Samples, bounds: list[int]) -> list[LogisticFit]:
    ranks = Ranks(len(bounds) + 1)
    shards = zip(
        np.split(samples.matrix, bounds), np.split(samples.labels, bounds), range(len(bounds) + 1), strict=True
    )
    with ThreadPoolExecutor(len(bounds) + 1) as pool:
        fits = [
            pool.submit(newton, Samples(matrix, labels), TRANSFORMS, allreduce=ranks.allreduce(rank))
            for matrix, labels, rank in shards
        ]
        return [fit.result() for fit in fits]


def sklearn_fit(
    samples: Samples, l2: float = 1.0, weights: Floats | None = None
) -> tuple[StandardScaler, LogisticRegression]:
    transformed = samples.matrix.copy()
    log1p = [how == "log1p" for how in TRANSFORMS]
    transformed[:, log1p] = np.log1p(transformed[:, log1p])
    scaler = StandardScaler().fit(transformed)
    solver = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-12, max_iter=200)
    return scaler, solver.fit(scaler.transform(transformed), samples.labels, weights)


@pytest.mark.parametrize("l2", [0.1, 1.0, 100.0])
def test_the_fit_equals_scikit_learn(l2: float) -> None:
    samples = made_up_samples(3000)
    fit = newton(samples, TRANSFORMS, l2=l2)
    scaler, reference = sklearn_fit(samples, l2)
    assert fit.converged
    np.testing.assert_allclose(fit.mean, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(fit.scale, scaler.scale_, rtol=1e-12)
    np.testing.assert_allclose(fit.coefficients, reference.coef_[0], atol=1e-6)
    assert fit.intercept == pytest.approx(reference.intercept_[0], abs=1e-6)


def test_the_fit_with_steps_equals_scikit_learn_on_the_same_columns() -> None:
    samples = made_up_samples(3000)
    places = learn_places(samples, quantiles=5, columns=(0, 1, 4, 30))
    assert len(places) == 16
    fit = newton(samples, TRANSFORMS, places=places, l2=2.0, step_l2=8.0)
    scaler, _ = sklearn_fit(samples)
    transformed = samples.matrix.copy()
    log1p = [how == "log1p" for how in TRANSFORMS]
    transformed[:, log1p] = np.log1p(transformed[:, log1p])
    steps = (samples.matrix[:, places.feature] > places.above).astype(np.float64)
    # A ridge of 8 on the height is one of 2 on the coefficient of half the step.
    columns = np.hstack([scaler.transform(transformed), (steps - steps.mean(axis=0)) / 2])
    reference = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-12, max_iter=200)
    reference.fit(columns, samples.labels)
    assert fit.converged
    np.testing.assert_allclose(fit.coefficients, reference.coef_[0], atol=1e-6)
    model = fit.model(FEATURE_NAMES, TRANSFORMS)
    np.testing.assert_allclose(
        model.probability(samples.matrix), reference.predict_proba(columns)[:, 1], rtol=0, atol=1e-6
    )


def test_several_workers_with_steps_find_what_one_finds() -> None:
    samples = made_up_samples(3000)
    places = learn_places(samples, quantiles=8)
    alone = newton(samples, TRANSFORMS, places=places)
    ranks = Ranks(2)
    halves = zip(np.split(samples.matrix, [1000]), np.split(samples.labels, [1000]), strict=True)
    with ThreadPoolExecutor(2) as pool:
        fits = [
            pool.submit(
                newton, Samples(matrix, labels), TRANSFORMS, places=places, allreduce=ranks.allreduce(rank)
            )
            for rank, (matrix, labels) in enumerate(halves)
        ]
        for fit in fits:
            np.testing.assert_allclose(fit.result().coefficients, alone.coefficients, atol=1e-8)


def test_the_weighted_fit_equals_scikit_learn() -> None:
    samples = made_up_samples(3000)
    weights = np.where(samples.labels == 1, 7.0, 0.5)
    fit = newton(replace(samples, weights=weights), TRANSFORMS)
    np.testing.assert_allclose(fit.coefficients, sklearn_fit(samples, 1.0, weights)[1].coef_[0], atol=1e-6)


@pytest.mark.parametrize("bounds", [[1500], [10, 2900], [0, 1000]], ids=["halves", "uneven", "one empty"])
def test_several_workers_find_what_one_finds_and_agree_to_the_bit(bounds: list[int]) -> None:
    samples = made_up_samples(3000)
    alone = newton(samples, TRANSFORMS)
    fits = fit_on_ranks(samples, bounds)
    for fit in fits:
        np.testing.assert_allclose(fit.coefficients, alone.coefficients, atol=1e-9)
        np.testing.assert_array_equal(fit.coefficients, fits[0].coefficients)
        assert (fit.intercept, fit.iterations) == (fits[0].intercept, fits[0].iterations)


@given(seed=st.integers(0, 10_000), bound=st.integers(0, 300))
@settings(max_examples=20, deadline=None)
def test_where_the_shards_are_cut_does_not_matter(seed: int, bound: int) -> None:
    samples = made_up_samples(300, seed)
    alone = newton(samples, TRANSFORMS)
    np.testing.assert_allclose(fit_on_ranks(samples, [bound])[1].coefficients, alone.coefficients, atol=1e-7)


def test_blocks_of_rows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = made_up_samples(1000)
    whole = newton(samples, TRANSFORMS)
    monkeypatch.setattr("training.samples.BLOCK_ROWS", 64)
    blocked = newton(samples, TRANSFORMS)
    np.testing.assert_allclose(blocked.coefficients, whole.coefficients, atol=1e-9)


def test_a_start_on_a_sample_ends_at_the_same_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = made_up_samples(3000)
    places = learn_places(samples, quantiles=5)
    on_all = newton(samples, TRANSFORMS, places=places)
    monkeypatch.setattr("training.logistic.SAMPLE_FROM_ROWS", 3000)
    monkeypatch.setattr("training.logistic.SAMPLED", 2)
    sampled = newton(samples, TRANSFORMS, places=places)
    assert sampled.converged
    assert sampled.iterations < on_all.iterations
    np.testing.assert_allclose(sampled.coefficients, on_all.coefficients, atol=1e-9)
    assert sampled.intercept == pytest.approx(on_all.intercept, abs=1e-9)


def test_a_sample_without_a_fraud_is_a_start_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = made_up_samples(800)
    samples.labels[::8] = 0.0
    on_all = newton(samples, TRANSFORMS)
    monkeypatch.setattr("training.logistic.SAMPLE_FROM_ROWS", 0)
    np.testing.assert_allclose(newton(samples, TRANSFORMS).coefficients, on_all.coefficients, atol=1e-9)


def test_a_constant_feature_gets_no_coefficient() -> None:
    samples = made_up_samples(500)
    fit = newton(samples, TRANSFORMS)
    assert (fit.scale[3], fit.coefficients[3]) == (1.0, 0.0)


def test_classes_that_can_be_told_apart_are_held_by_the_ridge() -> None:
    matrix = made_up_samples(400).matrix
    labels = (matrix[:, 0] > np.median(matrix[:, 0])).astype(np.float64)
    fit = newton(Samples(matrix, labels), TRANSFORMS, l2=1e-3)
    assert fit.converged
    np.testing.assert_allclose(fit.coefficients, sklearn_fit(Samples(matrix, labels), 1e-3)[1].coef_[0], atol=1e-5)


def test_a_feature_given_twice_is_no_singular_problem() -> None:
    samples = made_up_samples(500)
    samples.matrix[:, 1] = samples.matrix[:, 2]
    fit = newton(samples, TRANSFORMS)
    assert fit.converged
    assert fit.coefficients[1] == pytest.approx(fit.coefficients[2], abs=1e-9)


def test_iterations_are_bounded_and_the_result_says_so() -> None:
    samples = made_up_samples(500)
    fit = newton(samples, TRANSFORMS, max_iterations=1)
    assert (fit.iterations, fit.converged) == (1, False)


def test_the_matrix_is_left_as_it_was() -> None:
    samples = made_up_samples(200)
    before = samples.matrix.copy()
    newton(samples, TRANSFORMS)
    np.testing.assert_array_equal(samples.matrix, before)


def test_a_ridge_of_zero_is_an_error() -> None:
    samples = made_up_samples(100)
    with pytest.raises(ValueError, match=r"^l2 must be positive"):
        newton(samples, TRANSFORMS, l2=0.0)
    with pytest.raises(ValueError, match=r"^step_l2 must be positive"):
        newton(samples, TRANSFORMS, step_l2=0.0)


def test_a_value_that_is_not_finite_is_an_error() -> None:
    samples = made_up_samples(100)
    samples.matrix[5, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        newton(samples, TRANSFORMS)
