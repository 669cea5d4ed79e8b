"""The models of one fold: fitted as `tollgate train` fits them, on the periods of the fold."""

from datetime import UTC, datetime

from features.definitions import FEATURE_NAMES, fingerprint
from training.bundle import Bundle, Manifest, Thresholds
from training.evaluation.own_features import FeatureRows
from training.evaluation.protocols import Fold
from training.feature_files import count_frauds
from training.fit import fit
from training.fit_parameters import FitParameters
from training.fitted_bundle import fitted_bundle


def fit_fold(
    rows: FeatureRows, fold: Fold, *, workers: int, parameters: FitParameters, thresholds: Thresholds
) -> Bundle:
    """Return both models fitted on the training period of a fold, rounds, weights and calibration
    found on its validation period.

    The bundle is never registered: it has seen a fold, not the history. Ray must be running.
    """
    train, validation = (rows.learned(part, fold.test) for part in (fold.train, fold.validation))
    fitted = fit(train, validation, workers=workers, parameters=parameters)
    manifest = Manifest(
        feature_fingerprint=fingerprint(),
        feature_names=FEATURE_NAMES,
        thresholds=thresholds,
        training_period=fold.train,
        training_rows=len(train),
        training_frauds=count_frauds(train),
        created_at=datetime.now(UTC),
    )
    return fitted_bundle(manifest, fitted, validation)
