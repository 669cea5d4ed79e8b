from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES
from tests.unit.training.bundles import made_up_samples
from training.boosting import NOT_BEGUN, BoostedFit, BoostingParameters, BoostingProgress, fit_boosted
from training.models import BoostedModel
from training.samples import Samples


def fitted(parameters: BoostingParameters) -> BoostedFit:
    train, validation = made_up_samples(2000), made_up_samples(1000, seed=1)
    return fit_boosted(train, validation, FEATURE_NAMES, parameters, threads=1, seed=0)


def test_the_trees_rank_fraud_above_the_rest() -> None:
    test = made_up_samples(1000, seed=2)
    scores = BoostedModel(fitted(BoostingParameters()).booster).probability(test.matrix)
    assert roc_auc_score(test.labels, scores) > 0.7


def test_early_stopping_keeps_the_trees_up_to_the_lowest_validation_loss() -> None:
    fit = fitted(BoostingParameters(rounds=300, eta=0.5, early_stopping_rounds=5))
    assert fit.rounds < 300
    assert fit.booster.num_boosted_rounds() == fit.rounds
    validation = made_up_samples(1000, seed=1)
    p = BoostedModel(fit.booster).probability(validation.matrix).astype(np.float64)
    loss = -np.mean(np.where(validation.labels == 1, np.log(p), np.log1p(-p)))
    assert loss == pytest.approx(fit.validation_logloss, rel=1e-4)


def test_without_early_stopping_all_rounds_are_bounded() -> None:
    assert fitted(BoostingParameters(rounds=3)).rounds <= 3


def test_a_weight_counts_as_so_many_rows() -> None:
    train, validation = made_up_samples(2000), made_up_samples(1000, seed=1)
    repeats = np.where(train.labels == 1, 3, 1)
    repeated = Samples(np.repeat(train.matrix, repeats, axis=0), np.repeat(train.labels, repeats))
    weighted = replace(train, weights=repeats.astype(np.float64))
    by_weight, by_rows = (
        fit_boosted(samples, validation, FEATURE_NAMES, BoostingParameters(rounds=1), threads=1, seed=0)
        for samples in (weighted, repeated)
    )
    scores = [BoostedModel(fit.booster).probability(validation.matrix) for fit in (by_weight, by_rows)]
    assert np.corrcoef(scores[0], scores[1])[0, 1] > 0.95
    assert scores[0].mean() == pytest.approx(scores[1].mean(), abs=0.01)


def test_the_same_data_give_the_same_trees() -> None:
    first, second = (fitted(BoostingParameters(rounds=10)).booster for _ in range(2))
    assert first.save_raw() == second.save_raw()


def test_rows_in_blocks_give_the_trees_of_one_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted = replace(made_up_samples(2000), weights=np.linspace(0.5, 2, 2000))
    validation, parameters = made_up_samples(1000, seed=1), BoostingParameters(rounds=10)
    whole = fit_boosted(weighted, validation, FEATURE_NAMES, parameters, threads=1, seed=0)
    monkeypatch.setattr("training.samples.BLOCK_ROWS", 137)
    blocks = fit_boosted(weighted, validation, FEATURE_NAMES, parameters, threads=1, seed=0)
    assert blocks.booster.save_raw() == whole.booster.save_raw()


def test_the_booster_knows_the_names_of_its_features() -> None:
    assert BoostedModel(fitted(BoostingParameters(rounds=2)).booster).feature_names == FEATURE_NAMES


@pytest.mark.parametrize("max_bin", [2, 64])
def test_a_feature_is_cut_at_no_more_places_than_asked(max_bin: int) -> None:
    booster = fitted(BoostingParameters(rounds=60, max_depth=8, max_bin=max_bin)).booster
    cuts = [len(booster.get_split_value_histogram(name, as_pandas=False)) for name in FEATURE_NAMES]
    assert max_bin / 4 <= max(cuts) <= max_bin


@pytest.mark.parametrize("changes", [{"eta": 0}, {"rounds": 0}, {"depth": 3}, {"base_score": 1}])
def test_parameters_out_of_range_or_unknown_are_an_error(changes: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        BoostingParameters.model_validate(changes)


STRETCHES = BoostingParameters(rounds=25, early_stopping_rounds=25, checkpoint_rounds=10)


def in_stretches(progress: BoostingProgress = NOT_BEGUN) -> tuple[BoostedFit, list[BoostingProgress]]:
    kept: list[BoostingProgress] = []
    train, validation = made_up_samples(2000), made_up_samples(1000, seed=1)
    names = FEATURE_NAMES
    fit = fit_boosted(train, validation, names, STRETCHES, threads=1, seed=0, progress=progress, keep=kept.append)
    return fit, kept


def test_progress_is_kept_after_every_stretch_but_the_last() -> None:
    _, kept = in_stretches()
    assert [len(progress.losses) for progress in kept] == [10, 20]


@pytest.mark.parametrize("stretch", [0, 1])
def test_a_fit_that_goes_on_from_kept_progress_ends_with_the_same_trees(stretch: int) -> None:
    whole, kept = in_stretches()
    resumed, kept_later = in_stretches(kept[stretch])
    assert resumed.booster.save_raw() == whole.booster.save_raw()
    assert resumed.validation_logloss == whole.validation_logloss
    assert kept_later == kept[stretch + 1 :]


def test_a_later_stretch_draws_other_features_than_the_first() -> None:
    _, kept = in_stretches()
    assert kept[0].losses != kept[1].losses[10:]


def test_early_stopping_looks_back_beyond_the_stretch() -> None:
    whole, short = (
        fitted(
            BoostingParameters(
                rounds=300, eta=0.5, early_stopping_rounds=5, colsample_bynode=1, checkpoint_rounds=n
            )
        )
        for n in (300, 3)
    )
    assert short.rounds == whole.rounds
    assert short.validation_logloss == pytest.approx(whole.validation_logloss, abs=1e-6)
