"""Measurements, results and a bundle to compare with."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import xgboost as xgb

from features.definitions import FEATURE_NAMES, fingerprint
from loadtests.compare.figures import Measurement
from loadtests.compare.report import Result
from loadtests.compare.systems import select
from loadtests.wrk import Sample
from training.bundle import Bundle, Manifest, Period
from training.calibration import Calibration
from training.models import FEATURE_TRANSFORMS, BoostedModel, LogisticModel
from training.steps import Steps


def measurement(
    system: str,
    connections: int,
    repetition: int,
    rate: float,
    *,
    rows: int = 1,
    failed: int = 0,
    client: float = 0.1,
    other: float = 0.0,
) -> Measurement:
    """Return a turn at some rate of requests a second, whose p50 is one connection's share of it."""
    sample = Sample(rate, 1000 * connections / rate, 3000 * connections / rate, failed, client)
    return Measurement(system, connections, repetition, rows, sample, 1.0, 0.1, other)


def silent(system: str, connections: int, repetition: int) -> Measurement:
    """Return a turn in which no request was answered with a success."""
    nan = float("nan")
    return Measurement(system, connections, repetition, 1, None, nan, nan, nan, "no success")


def result(measurements: Sequence[Measurement], unavailable: dict[str, str] | None = None) -> Result:
    """Return a run with these turns on a machine of two cores."""
    return Result(select(()), measurements, unavailable or {}, {"machine": {"cores": 2}})


def bundle() -> Bundle:
    """Return a small bundle with the real features, whose scores are neither 0 nor 1."""
    chance = np.random.default_rng(0)
    d = len(FEATURE_NAMES)
    matrix, labels = chance.gamma(2, 20, (200, d)), chance.integers(0, 2, 200)
    columns = xgb.DMatrix(matrix, labels, feature_names=list(FEATURE_NAMES))
    trees = xgb.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, columns, 5)
    transforms = tuple(FEATURE_TRANSFORMS[name] for name in FEATURE_NAMES)
    steps = Steps(np.array([0, 0, 4]), np.array([10.0, 40.0, 30.0]), np.full(3, 0.4), np.array([0.5, -1.0, 0.25]))
    mean, scale = chance.normal(2, 1, d), chance.uniform(5, 9, d)
    lr = LogisticModel(FEATURE_NAMES, transforms, mean, scale, chance.normal(0, 1, d), -0.5, steps)
    manifest = Manifest(
        feature_fingerprint=fingerprint(),
        feature_names=FEATURE_NAMES,
        training_period=Period(since=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2026, 2, 1, tzinfo=UTC)),
        training_rows=200,
        calibration=Calibration(a=1.1, b=0.9, c=0.1),
        training_frauds=int(labels.sum()),
        created_at=datetime(2026, 2, 1, tzinfo=UTC),
    )
    return Bundle(manifest, lr, BoostedModel(trees))
