import numpy as np
import pytest
from scipy.special import logit  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES
from features.errors import BundleRefused
from tests.unit.training.bundles import TRANSFORMS, boosted_model, logistic_model, made_up_samples, some_rows
from training.models import LogisticModel
from training.steps import Steps


def test_the_logistic_probability_is_the_written_out_formula() -> None:
    model = LogisticModel(
        ("a", "b"), ("linear", "log1p"), np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.array([3.0, 5.0]), -1.0
    )
    log_odds = -1 + 3 * (7 - 1) / 2 + 5 * (np.log1p(9) - 2) / 4
    assert model.probability(np.array([[7.0, 9.0]])) == pytest.approx([1 / (1 + np.exp(-log_odds))])


def test_the_terms_are_the_written_out_formula() -> None:
    steps = Steps(np.array([1, 1]), np.array([4.0, 9.0]), np.array([0.5, 0.25]), np.array([2.0, 8.0]))
    model = LogisticModel(
        ("a", "b"),
        ("linear", "log1p"),
        np.array([1.0, 2.0]),
        np.array([2.0, 4.0]),
        np.array([3.0, 5.0]),
        -1.0,
        steps,
    )
    terms = model.terms(np.array([7.0, 9.0]))
    assert [(term.feature, term.above) for term in terms] == [("a", None), ("b", None), ("b", 4.0), ("b", 9.0)]
    written = [3 * (7 - 1) / 2, 5 * (np.log1p(9) - 2) / 4, 2 * (1 - 0.5), 8 * (0 - 0.25)]
    assert [term.log_odds for term in terms] == pytest.approx(written)
    assert model.probability(np.array([[7.0, 9.0]])) == pytest.approx([1 / (1 + np.exp(1 - sum(written)))])


def test_the_terms_of_a_feature_add_up_to_its_contribution() -> None:
    model, rows = logistic_model(made_up_samples(400)), some_rows(5)
    assert len(model.steps) > 50
    for row, contributions in zip(rows, model.contributions(rows), strict=True):
        terms = model.terms(row)
        for position, name in enumerate(FEATURE_NAMES):
            total = sum(term.log_odds for term in terms if term.feature == name)
            assert total == pytest.approx(contributions[position], abs=1e-12)


def test_logistic_contributions_and_intercept_sum_to_the_log_odds() -> None:
    model, rows = logistic_model(made_up_samples(400)), some_rows()
    total = model.contributions(rows).sum(axis=1) + model.intercept
    np.testing.assert_allclose(1 / (1 + np.exp(-total)), model.probability(rows), rtol=1e-9)


def test_scoring_leaves_the_matrix_as_it_was() -> None:
    model, rows = logistic_model(made_up_samples(400)), some_rows()
    before = rows.copy()
    model.probability(rows)
    model.contributions(rows)
    np.testing.assert_array_equal(rows, before)


def test_the_logistic_model_comes_back_from_its_file_bit_for_bit() -> None:
    model, rows = logistic_model(made_up_samples(400)), some_rows()
    again = LogisticModel.from_json(model.to_json().encode())
    np.testing.assert_array_equal(again.probability(rows), model.probability(rows))


def test_parameters_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 feature names"):
        LogisticModel(("a", "b"), ("linear",), np.ones(2), np.ones(2), np.ones(2), 0.0)


@pytest.mark.parametrize("content", [b"no json", b"{}", b'{"feature_names": ["a"]}'])
def test_a_file_that_is_no_logistic_model_is_refused(content: bytes) -> None:
    with pytest.raises(BundleRefused, match="logistic regression"):
        LogisticModel.from_json(content)


@pytest.mark.parametrize(
    ("old", "new"), [('"feature": "amount"', '"feature": "amont"'), ('"share": [', '"share": [0.5, ')]
)
def test_steps_of_an_unknown_feature_or_of_different_lengths_are_refused(old: str, new: str) -> None:
    content = logistic_model(made_up_samples(400)).to_json()
    assert old in content
    with pytest.raises(BundleRefused, match="logistic regression"):
        LogisticModel.from_json(content.replace(old, new, 1).encode())


def test_a_scale_of_zero_is_refused() -> None:
    content = LogisticModel(("a",), ("linear",), np.ones(1), np.ones(1), np.ones(1), 0.0).to_json()
    with pytest.raises(BundleRefused, match="scale"):
        LogisticModel.from_json(content.replace('"scale": [\n  1.0', '"scale": [\n  0.0').encode())


def test_boosted_contributions_sum_to_the_log_odds_but_for_one_constant() -> None:
    model, rows = boosted_model(made_up_samples(400)), some_rows()
    rest = logit(model.probability(rows).astype(np.float64)) - model.contributions(rows).sum(axis=1)
    np.testing.assert_allclose(rest, rest[0], atol=1e-4)


def test_boosted_contributions_have_a_column_a_feature() -> None:
    contributions = boosted_model(made_up_samples(400)).contributions(some_rows(7))
    assert contributions.shape == (7, len(FEATURE_NAMES))
    assert not contributions[:, 3].any()  # The constant column explains nothing.


def test_a_batch_scores_as_its_rows_do_one_by_one() -> None:
    boosted, rows = boosted_model(made_up_samples(400)), some_rows()
    one_by_one = np.concatenate([boosted.probability(rows[i : i + 1]) for i in range(len(rows))])
    np.testing.assert_array_equal(boosted.probability(rows), one_by_one)


def test_every_feature_has_a_transform() -> None:
    assert set(TRANSFORMS) == {"linear", "log1p"}
    assert len(TRANSFORMS) == len(FEATURE_NAMES)
