"""A small real bundle, fitted in milliseconds on made-up features."""

from datetime import UTC, datetime
from functools import cache

import numpy as np
import xgboost as xgb

from features.definitions import FEATURE_NAMES, fingerprint
from features.formulas import Matrix
from training.boosting import BoostingParameters
from training.bundle import Bundle, Manifest, Period
from training.calibration import Calibration
from training.logistic import newton
from training.models import FEATURE_TRANSFORMS, BoostedModel, LogisticModel, Transform
from training.samples import Samples
from training.steps import learn_places

TRANSFORMS: tuple[Transform, ...] = tuple(FEATURE_TRANSFORMS[name] for name in FEATURE_NAMES)


def made_up_samples(rows: int, seed: int = 0) -> Samples:
    """Return features on the scales of real ones, and labels that depend on some of them."""
    rng = np.random.default_rng(seed)
    matrix = np.abs(rng.normal(size=(rows, len(FEATURE_NAMES)))) * np.resize([1, 10, 1000], len(FEATURE_NAMES))
    matrix[:, 3] = 0.0  # A constant column, as the device columns of a history without devices.
    log_odds = np.log1p(matrix[:, 0]) + matrix[:, 30] / matrix[:, 30].std() - 5
    labels = (rng.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(np.float64)
    return Samples(matrix, labels)


def logistic_model(samples: Samples) -> LogisticModel:
    places = learn_places(samples, quantiles=4)
    return newton(samples, TRANSFORMS, places=places).model(FEATURE_NAMES, TRANSFORMS)


def boosted_model(samples: Samples, rounds: int = 20) -> BoostedModel:
    columns = xgb.DMatrix(samples.matrix, samples.labels, feature_names=list(FEATURE_NAMES))
    return BoostedModel(xgb.train(BoostingParameters().to_xgboost(threads=1, seed=0), columns, rounds))


@cache
def small_bundle(seed: int = 0) -> Bundle:
    samples = made_up_samples(500, seed)
    manifest = Manifest(
        feature_fingerprint=fingerprint(),
        feature_names=FEATURE_NAMES,
        training_period=Period(since=datetime(2025, 1, 1, tzinfo=UTC), until=datetime(2025, 2, 1, tzinfo=UTC)),
        training_rows=500,
        training_frauds=int(samples.labels.sum()),
        created_at=datetime(2025, 3, 1, tzinfo=UTC),
        calibration=Calibration(a=1.2, b=0.8, c=0.3),
    )
    return Bundle(manifest, logistic_model(samples), boosted_model(samples))


def some_rows(rows: int = 40) -> Matrix:
    return made_up_samples(rows, seed=99).matrix
