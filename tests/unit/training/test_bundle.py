import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from features.definitions import fingerprint
from features.errors import BundleRefused
from tests.unit.training.bundles import small_bundle, some_rows
from training.bundle import (
    LR_FILE,
    MANIFEST_FILE,
    MODEL_FILES,
    ONNX_FILE,
    XGB_FILE,
    Bundle,
    EnsembleWeights,
    Thresholds,
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    small_bundle().save(tmp_path / "bundle")
    return tmp_path / "bundle"


def uncalibrated(bundle: Bundle) -> Bundle:
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"calibration": None}))


def edit(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest | changes))


def test_a_loaded_bundle_scores_as_the_saved_one(saved: Path) -> None:
    before, after = small_bundle().score(some_rows()), Bundle.load(saved, fingerprint()).score(some_rows())
    np.testing.assert_array_equal(after.lr, before.lr)
    np.testing.assert_allclose(after.xgb, before.xgb, rtol=0, atol=1e-6)
    np.testing.assert_allclose(after.ensemble, before.ensemble, rtol=0, atol=1e-6)


def test_a_bundle_that_was_loaded_scores_like_any_other_loaded_one_bit_for_bit(saved: Path) -> None:
    first, second = (Bundle.load(saved, fingerprint()).score(some_rows()) for _ in range(2))
    np.testing.assert_array_equal(first.ensemble, second.ensemble)


def test_the_manifest_survives_and_gains_the_digests(saved: Path) -> None:
    manifest = Bundle.load(saved, fingerprint()).manifest
    assert set(manifest.sha256) == set(MODEL_FILES)
    assert manifest.model_copy(update={"sha256": {}}) == small_bundle().manifest


def test_a_bundle_holds_four_files_and_no_pickle(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {MANIFEST_FILE, LR_FILE, XGB_FILE, ONNX_FILE}


def test_the_thresholds_and_weights_are_those_of_the_design() -> None:
    assert Thresholds().model_dump() == {"block": 0.9, "review": 0.5, "fraud": 0.5}
    assert EnsembleWeights().model_dump() == {"lr": 0.5, "xgb": 0.5}


def test_the_ensemble_is_the_weighted_mean() -> None:
    scores = uncalibrated(small_bundle()).score(some_rows())
    np.testing.assert_allclose(scores.ensemble, (scores.lr + scores.xgb.astype(np.float64)) / 2, rtol=1e-12)
    one, zero = np.ones(1), np.zeros(1)
    assert EnsembleWeights(lr=0.25, xgb=0.75).combine(one, zero).item() == 0.25


def test_the_fraud_probability_is_the_calibrated_mean_and_ranks_as_the_mean_does() -> None:
    bundle = small_bundle()
    assert bundle.manifest.calibration is not None
    calibrated, mean = (b.score(some_rows()).ensemble for b in (bundle, uncalibrated(bundle)))
    np.testing.assert_array_equal(calibrated, bundle.manifest.calibration.apply(mean))
    assert not np.allclose(calibrated, mean, atol=0.01)
    np.testing.assert_array_equal(np.argsort(calibrated, kind="stable"), np.argsort(mean, kind="stable"))


def test_a_policys_own_weights_are_calibrated_by_the_same_curve() -> None:
    bundle, one, zero = small_bundle(), np.ones(1), np.zeros(1)
    assert bundle.manifest.calibration is not None
    expected = bundle.manifest.calibration.apply(np.array([0.25]))
    np.testing.assert_array_equal(bundle.combine(one, zero, EnsembleWeights(lr=0.25, xgb=0.75)), expected)


def test_a_bundle_of_the_first_release_has_neither_steps_nor_calibration(saved: Path) -> None:
    manifest = json.loads((saved / MANIFEST_FILE).read_text())
    lr = json.loads((saved / LR_FILE).read_text())
    del manifest["calibration"], manifest["data_sha256"], lr["steps"]
    (saved / LR_FILE).write_text(json.dumps(lr))
    digest = hashlib.sha256((saved / LR_FILE).read_bytes()).hexdigest()
    manifest["sha256"][LR_FILE] = digest
    (saved / MANIFEST_FILE).write_text(json.dumps(manifest))
    old = Bundle.load(saved, fingerprint())
    scores = old.score(some_rows())
    assert len(old.lr.steps) == 0
    assert old.manifest.data_sha256 is None
    np.testing.assert_allclose(scores.ensemble, (scores.lr + scores.xgb.astype(np.float64)) / 2, rtol=1e-12)


def test_weights_that_do_not_sum_to_one_are_an_error() -> None:
    with pytest.raises(ValidationError, match="must sum to 1"):
        EnsembleWeights(lr=0.5, xgb=0.6)


def test_contributions_are_the_weighted_mean_of_both_models() -> None:
    bundle, rows = small_bundle(), some_rows()
    expected = (bundle.lr.contributions(rows) + bundle.xgb.contributions(rows)) / 2
    np.testing.assert_allclose(bundle.contributions(rows), expected, rtol=1e-12)


def test_warming_up_leaves_the_scores_alone() -> None:
    bundle, rows = small_bundle(), some_rows()
    before = bundle.score(rows).ensemble
    bundle.warm()
    np.testing.assert_array_equal(bundle.score(rows).ensemble, before)


def test_a_foreign_fingerprint_is_refused_by_name(saved: Path) -> None:
    with pytest.raises(BundleRefused, match=f"{fingerprint()}, but this server computes 0123"):
        Bundle.load(saved, "0123")


@pytest.mark.parametrize("name", [MANIFEST_FILE, *MODEL_FILES])
def test_a_missing_file_is_refused_by_name(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(BundleRefused, match=name):
        Bundle.load(saved, fingerprint())


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_changed_file_is_refused_by_name(saved: Path, name: str) -> None:
    with (saved / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(BundleRefused, match=f"{name}.*SHA-256"):
        Bundle.load(saved, fingerprint())


def test_models_fitted_on_other_features_are_refused(saved: Path) -> None:
    names = [*small_bundle().manifest.feature_names]
    edit(saved, feature_names=[names[1], names[0], *names[2:]])
    with pytest.raises(BundleRefused, match="other features"):
        Bundle.load(saved, fingerprint())


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"format_version": 2}, "format_version"),
        ({"unknown": 1}, "unknown"),
        ({"thresholds": {"block": 2}}, "block"),
        ({"calibration": {"a": 0, "b": 1, "c": 0}}, "calibration.a"),
    ],
)
def test_a_manifest_that_breaks_its_schema_is_refused_by_field(
    saved: Path, changes: dict[str, object], place: str
) -> None:
    edit(saved, **changes)
    with pytest.raises(BundleRefused, match=place):
        Bundle.load(saved, fingerprint())


def test_trees_that_cannot_be_read_are_refused(saved: Path) -> None:
    (saved / XGB_FILE).write_bytes(b"no trees")
    digests = dict(json.loads((saved / MANIFEST_FILE).read_text())["sha256"])
    edit(saved, sha256=digests | {XGB_FILE: hashlib.sha256(b"no trees").hexdigest()})
    with pytest.raises(BundleRefused, match="boosted trees"):
        Bundle.load(saved, fingerprint())


def test_a_bundle_of_the_first_release_without_onnx_is_served_by_xgboost(saved: Path) -> None:
    digests = json.loads((saved / MANIFEST_FILE).read_text())["sha256"]
    (saved / ONNX_FILE).unlink()
    edit(saved, sha256={name: digest for name, digest in digests.items() if name != ONNX_FILE})
    np.testing.assert_array_equal(
        Bundle.load(saved, fingerprint()).score(some_rows()).xgb, small_bundle().score(some_rows()).xgb
    )
