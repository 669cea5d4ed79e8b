"""What a version that was just trained must show before it decides, beside a champion of a real registry."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import mlflow
import numpy as np
import pytest

from tests.unit.training.bundles import small_bundle
from tests.unit.training.evaluation.results import judged_fold
from training.bundle import Bundle, Period
from training.evaluation.judged import JudgedFold
from training.experiment import open_experiment
from training.promotion import reason_against
from training.registry import CHAMPION, MODEL_NAME, Registry

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry in which versions 1 and 2 are of this release, and 3 of one with other features."""
    folder = tmp_path_factory.mktemp("registry")
    registry = Registry(f"sqlite:///{folder}/mlflow.db")
    experiment = open_experiment(registry.tracking_uri)
    early, late = (fitted_until(small_bundle(seed), year) for seed, year in ((1, 2015), (2, 2030)))
    foreign = replace(
        early, manifest=early.manifest.model_copy(update={"feature_fingerprint": "0123456789abcdef"})
    )
    for name, bundle in (("early", early), ("late", late), ("foreign", foreign)):
        bundle.save(folder / name)
        run = mlflow.MlflowClient(registry.tracking_uri).create_run(experiment)
        registry.publish(folder / name, run.info.run_id)
    return registry


FILES = ("a", "b")
"""Digests of the files of the history that a candidate was made from."""


def fitted_until(bundle: Bundle, year: int) -> Bundle:
    period = Period(since=datetime(2010, 1, 1, tzinfo=UTC), until=datetime(year, 1, 1, tzinfo=UTC))
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"training_period": period}))


def judged(share: float) -> JudgedFold:
    """Return a test whose score is right, but for a share of it that is drawn at random."""
    fold = judged_fold()
    random = np.random.default_rng(3).random((2, len(fold.rows)))
    score = np.where(random[0] < share, random[1], fold.rows.labels * 0.98 + 0.01)
    return replace(fold, scores={"ensemble": score})


def against(registry: Registry, candidate: float, champion: float) -> str:
    asked: list[Bundle] = []

    def judge(bundle: Bundle) -> JudgedFold:
        asked.append(bundle)
        return judged(champion)

    found = reason_against(judged(candidate), judge, FILES, registry, MODEL_NAME, CHAMPION)
    assert len(asked) <= 1
    return found


def test_without_a_champion_the_first_version_is_it(registry: Registry, tmp_path: Path) -> None:
    assert against(registry, 1.0, 0.0) == ""
    empty = Registry(f"sqlite:///{tmp_path}/mlflow.db")
    open_experiment(empty.tracking_uri)
    assert against(empty, 1.0, 0.0) == ""


def test_a_version_that_is_worse_beyond_noise_does_not_take_the_champions_place(registry: Registry) -> None:
    registry.promote("1")
    assert against(registry, 0.9, 0.0) == (
        "it is worse than version 1 beyond noise, in average precision and brier"
    )
    assert against(registry, 0.0, 0.9) == ""
    assert against(registry, 0.5, 0.5) == ""


@pytest.mark.parametrize(("files", "compared"), [(("another",), True), (("b", "another"), False)])
def test_a_champion_of_other_data_is_compared_whatever_its_days(
    registry: Registry, files: tuple[str, ...], compared: bool
) -> None:
    registry.promote("2")
    run_id = registry.resolve("2").run_id
    data = {"files": {f"{at}.parquet": digest for at, digest in enumerate(files)}}
    mlflow.MlflowClient(registry.tracking_uri).log_dict(run_id, data, "data.json")
    try:
        assert ("worse than version 2" in against(registry, 0.9, 0.0)) == compared
    finally:
        mlflow.MlflowClient(registry.tracking_uri).log_dict(run_id, {}, "data.json")


def test_one_that_cannot_be_compared_does_not_either(registry: Registry) -> None:
    registry.promote("2")
    assert "cannot be compared with version 2: Version 2 was fitted on payments until 2030" in against(
        registry, 0.0, 0.9
    )
    registry.promote("3")
    assert "cannot be compared with version 3: " in against(registry, 0.0, 0.9)
