"""The calibration curve: monotone, harmless where little is known, and better where much is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from sklearn.metrics import average_precision_score, roc_auc_score  # type: ignore[import-untyped]

from training.calibration import MIN_FRAUDS, MIN_SLOPE, Calibration, fit_calibration
from training.models import Floats

slope = st.floats(MIN_SLOPE, 20)
curves = st.builds(Calibration, a=slope, b=slope, c=st.floats(-10, 10))
scores = hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(0, 1))


def skewed(rows: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Return labels, and scores that are far too low for frauds."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(0.2, 4, rows)
    return (rng.random(rows) < truth).astype(np.float64), truth**2 / (truth**2 + (1 - truth) ** 0.5)


def brier(labels: Floats, probability: Floats) -> float:
    return float(np.mean((labels - probability) ** 2))


@given(curves, scores)
def test_no_ranking_changes(curve: Calibration, values: Floats) -> None:
    ordered = np.sort(values)
    probability = curve.apply(ordered)
    # Logarithms are exact to a few units in the last place, so neighbours may be turned by that much.
    assert (np.diff(probability) >= -1e-15).all()
    assert ((probability >= 0) & (probability <= 1)).all()


@given(curves, st.floats(1e-6, 1 - 1e-6), st.floats(1e-7, 1e-2))
def test_the_curve_rises_strictly(curve: Calibration, score: float, further: float) -> None:
    low, high = curve.apply(np.array([score, min(score + further, 1 - 1e-9)]))
    # Steep curves meet 1, where floats lie 1e-16 apart, or 0.
    assert low < high or low > 1 - 1e-9 or high < 1e-300


@given(scores)
def test_the_curve_of_ones_changes_nothing(values: Floats) -> None:
    np.testing.assert_allclose(Calibration(a=1, b=1, c=0).apply(values), values, rtol=1e-12, atol=2e-15)


def test_a_missing_score_stays_missing() -> None:
    assert np.isnan(Calibration(a=2, b=1, c=0).apply(np.array([0.5, np.nan]))).tolist() == [False, True]


def test_a_row_is_calibrated_alike_alone_and_among_others() -> None:
    curve, values = Calibration(a=1.3, b=0.7, c=-0.2), np.linspace(0, 1, 67)
    alone = np.concatenate([curve.apply(values[i : i + 1]) for i in range(len(values))])
    np.testing.assert_allclose(curve.apply(values), alone, rtol=1e-14)


@given(curves, st.floats(0, 1))
def test_nothing_up_to_the_highest_score_passes_the_probability(curve: Calibration, probability: float) -> None:
    highest = curve.highest_score(probability)
    if highest >= 0:
        assert (curve.apply(np.linspace(0, highest, 50)) <= probability).all()
    if highest < 1 - 1e-6:
        assert curve.apply(np.array([max(highest, 0) + 1e-6]))[0] >= probability


def test_a_fitted_curve_is_nearer_to_the_truth_on_rows_that_it_has_not_seen() -> None:
    curve = fit_calibration(*skewed(20_000))
    assert curve is not None
    labels, values = skewed(20_000, seed=1)
    assert brier(labels, curve.apply(values)) < 0.95 * brier(labels, values)
    assert curve.apply(values).mean() == pytest.approx(labels.mean(), rel=0.1)
    for metric in (roc_auc_score, average_precision_score):
        assert metric(labels, curve.apply(values)) == pytest.approx(metric(labels, values), abs=1e-12)


def test_the_curve_says_what_it_was_fitted_on() -> None:
    labels, values = skewed(5_000)
    curve = fit_calibration(labels, values)
    assert curve is not None
    assert (curve.rows, curve.frauds) == (5_000, int(labels.sum()))


def test_without_enough_frauds_there_is_no_curve() -> None:
    labels = np.zeros(10_000)
    labels[: MIN_FRAUDS - 1] = 1
    assert fit_calibration(labels, np.full(10_000, 0.01)) is None
    labels[MIN_FRAUDS - 1] = 1
    assert fit_calibration(labels, np.full(10_000, 0.01)) is not None


def test_scores_that_rank_backwards_still_give_a_rising_curve() -> None:
    labels, values = skewed(5_000)
    curve = fit_calibration(labels, 1 - values)
    assert curve is not None
    assert min(curve.a, curve.b) == MIN_SLOPE


@pytest.mark.parametrize("seed", range(5))
def test_scores_that_are_probabilities_stay_nearly_as_they_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.beta(0.3, 3, 20_000)
    curve = fit_calibration((rng.random(20_000) < truth).astype(np.float64), truth)
    assert curve is not None
    assert np.abs(curve.apply(truth) - truth).mean() < 0.01


@pytest.mark.parametrize("bad", [{"a": 0}, {"b": -1}, {"c": float("nan")}, {"d": 1}])
def test_a_curve_that_would_not_rise_or_is_unknown_is_an_error(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Calibration.model_validate({"a": 1, "b": 1, "c": 0} | bad)
