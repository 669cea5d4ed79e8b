"""The bundle: everything that one registered version carries, in one folder, with no pickle in it.

bundle.json   the manifest: fingerprint, feature names, thresholds, weights, calibration, metrics, digests
lr.json       logistic regression, with the steps of its features
xgb.ubj       boosted trees
xgb.onnx      the same trees, as they score in service
card.json     the model card (:mod:`training.model_card`)
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import BundleRefused
from features.faults import first_fault
from features.formulas import Matrix
from training.calibration import Calibration
from training.models import BoostedModel, Floats, LogisticModel, Probabilities
from training.onnx_trees import OnnxTrees, to_onnx

MANIFEST_FILE: Final = "bundle.json"
LR_FILE: Final = "lr.json"
XGB_FILE: Final = "xgb.ubj"
ONNX_FILE: Final = "xgb.onnx"
CARD_FILE: Final = "card.json"
MODEL_FILES: Final = (LR_FILE, XGB_FILE, ONNX_FILE)
WARM_ROWS: Final = (1, 8, 64)
"""Batch sizes that :meth:`Bundle.warm` runs: alone, a light load, a full micro-batch."""

_Fraction = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Part):
    """Probabilities above which the policy acts; the defaults are those of the design."""

    block: _Fraction = 0.9
    review: _Fraction = 0.5
    fraud: _Fraction = 0.5


class EnsembleWeights(_Part):
    """The shares of the two models in the fraud probability."""

    lr: _Fraction = 0.5
    xgb: _Fraction = 0.5

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.lr + self.xgb - 1) > 1e-9:
            raise ValueError(f"the weights lr and xgb must sum to 1, not to {self.lr + self.xgb}")
        return self

    def combine(self, lr: Probabilities, xgb: Probabilities) -> Floats:
        """Return the weighted mean (n,) float64 of the probabilities (n,) of the two models."""
        return np.asarray(self.lr * lr.astype(np.float64) + self.xgb * xgb.astype(np.float64))


class Period(_Part):
    """The time [since, until) in UTC."""

    since: datetime
    until: datetime


class Manifest(_Part):
    """What a bundle says about itself.

    Attributes:
        feature_fingerprint: of the definitions that it was trained on.
        ensemble: weights of the two models; calibration: from their weighted mean to the fraud probability. None
            in bundles of the first release, and where there were too few frauds to fit it: the mean as it is.
        metrics: for "lr", "xgb" and "ensemble": metric name to value, on the test period.
        training_rows, training_frauds: labelled rows of the training period, and the frauds among them.
        data: where the history came from, in words; data_sha256: its version (:mod:`training.data_version`). None
            in bundles of earlier releases, and in those never registered.
        sha256: digest of each model file; :meth:`Bundle.save` fills it in.
    """

    format_version: Literal[1] = 1
    feature_fingerprint: str
    feature_names: tuple[str, ...]
    thresholds: Thresholds = Thresholds()
    ensemble: EnsembleWeights = EnsembleWeights()
    calibration: Calibration | None = None
    metrics: Mapping[str, Mapping[str, float]] = {}
    training_period: Period
    training_rows: int
    training_frauds: int
    created_at: datetime
    data: str = ""
    data_sha256: str | None = None
    sha256: Mapping[str, str] = {}


@dataclass(frozen=True, eq=False)
class Scores:
    """Fraud probabilities of n rows: of each model, and of both together, weighted and calibrated."""

    lr: Floats
    xgb: Probabilities
    ensemble: Floats


@dataclass(frozen=True, eq=False)
class Bundle:
    """Two models and the manifest that binds them to one set of feature definitions.

    Attributes:
        card: the model card as JSON data; None in bundles of the first releases, and in those never registered.
    """

    manifest: Manifest
    lr: LogisticModel
    xgb: BoostedModel
    card: Mapping[str, Any] | None = None

    def score(self, matrix: Matrix) -> Scores:
        """Return the scores of a feature matrix (n, d) float64."""
        lr, xgb = self.lr.probability(matrix), self.xgb.probability(matrix)
        return Scores(lr, xgb, self.combine(lr, xgb))

    def combine(self, lr: Probabilities, xgb: Probabilities, weights: EnsembleWeights | None = None) -> Floats:
        """Return the fraud probability (n,) that scores (n,) of the two models lead to.

        Args:
            weights: a policy's own; None: those of the bundle. The calibration was fitted with the bundle's. With
                others it still changes no ranking, but what it returns is a probability only nearly.
        """
        mean = (weights or self.manifest.ensemble).combine(lr, xgb)
        return mean if self.manifest.calibration is None else self.manifest.calibration.apply(mean)

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return (n, d) log-odds: the weighted mean of what each feature adds in the two models."""
        weights = self.manifest.ensemble
        return weights.lr * self.lr.contributions(matrix) + weights.xgb * self.xgb.contributions(matrix)

    def warm(self) -> None:
        """Run every path once or twice, so that the first payment does not pay for lazy set-up."""
        for rows in WARM_ROWS:
            matrix = np.zeros((rows, len(self.manifest.feature_names)))
            self.score(matrix)
            self.contributions(matrix)

    def save(self, folder: Path) -> None:
        """Write the bundle into a folder, the manifest last: a folder with a manifest is complete."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LR_FILE).write_text(self.lr.to_json(), encoding="utf-8")
        self.xgb.booster.save_model(folder / XGB_FILE)
        (folder / ONNX_FILE).write_bytes(to_onnx(self.xgb.booster))
        files = list(MODEL_FILES)
        if self.card is not None:
            (folder / CARD_FILE).write_text(json.dumps(self.card, indent=1), encoding="utf-8")
            files.append(CARD_FILE)
        digests = {name: _sha256(folder / name) for name in files}
        manifest = self.manifest.model_copy(update={"sha256": digests})
        (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, expected_fingerprint: str) -> "Bundle":
        """Return the bundle in a folder, with both models checked against the manifest.

        Raises:
            BundleRefused: the fingerprint is not ``expected_fingerprint``, a file is missing or is not the one
                that was saved, or a model has other features than the manifest says.
        """
        manifest = _read_manifest(folder)
        if manifest.feature_fingerprint != expected_fingerprint:
            raise BundleRefused(
                f"The bundle was trained on the feature definitions {manifest.feature_fingerprint}, but this"
                f" server computes {expected_fingerprint}. Train and promote a model with this release."
            )
        # The first bundles had no ONNX file; they are served by XGBoost itself. Nor had they a card.
        has_onnx = ONNX_FILE in manifest.sha256
        for name in (LR_FILE, XGB_FILE, *(name for name in (ONNX_FILE, CARD_FILE) if name in manifest.sha256)):
            _check_digest(folder, name, manifest)
        lr = LogisticModel.from_json((folder / LR_FILE).read_bytes())
        onnx = OnnxTrees((folder / ONNX_FILE).read_bytes()) if has_onnx else None
        xgb = BoostedModel.from_file(folder / XGB_FILE, onnx)
        for name, names in ((LR_FILE, lr.feature_names), (XGB_FILE, xgb.feature_names)):
            if names != manifest.feature_names:
                raise BundleRefused(f"{name} of the bundle was fitted on other features than its manifest says.")
        has_card = CARD_FILE in manifest.sha256
        card = json.loads((folder / CARD_FILE).read_text("utf-8")) if has_card else None
        return cls(manifest, lr, xgb, card)


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a bundle, the manifest among them."""
    return {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}


def check_digests(folder: Path, expected: Mapping[str, str]) -> None:
    """Check the files of a bundle against digests from elsewhere.

    The manifest has digests too, but lies beside the files: who can change one can change the other.

    Raises:
        BundleRefused: a file is missing, is another one, or was added; names it.
    """
    found = file_digests(folder)
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise BundleRefused(f"The bundle lacks {name}.")
        if name not in expected:
            raise BundleRefused(f"{name} of the bundle was not there when it was registered.")
        if found[name] != expected[name]:
            raise BundleRefused(f"{name} of the bundle is not the file that was registered: its SHA-256 differs.")


def _read_manifest(folder: Path) -> Manifest:
    try:
        return Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except FileNotFoundError as error:
        raise BundleRefused(f"The bundle has no {MANIFEST_FILE}: it is incomplete, or no bundle.") from error
    except ValidationError as error:
        raise BundleRefused(f"{MANIFEST_FILE} of the bundle cannot be read: {first_fault(error)}.") from error


def _check_digest(folder: Path, name: str, manifest: Manifest) -> None:
    if not (folder / name).is_file():
        raise BundleRefused(f"The bundle lacks {name}.")
    if _sha256(folder / name) != manifest.sha256.get(name):
        raise BundleRefused(f"{name} of the bundle is not the file that was saved: its SHA-256 differs.")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
