"""From two fitted models to a bundle: with the weights and the calibration that suit the validation period."""

from training.bundle import Bundle, Manifest
from training.ensemble import fit_ensemble
from training.evaluation.scored_rows import score_rows
from training.feature_files import FeatureTable
from training.fit import FittedModels


def fitted_bundle(manifest: Manifest, fitted: FittedModels, validation: FeatureTable) -> Bundle:
    """Return the bundle of two models fitted on other rows.

    Args:
        manifest: all but weights and calibration.
        validation: rows that neither model was fitted on.
    """
    scored = score_rows(Bundle(manifest, fitted.lr, fitted.xgb), validation)
    ensemble = fit_ensemble(scored.labels, scored.scores["lr"], scored.scores["xgb"])
    found = {"ensemble": ensemble.weights, "calibration": ensemble.calibration}
    return Bundle(manifest.model_copy(update=found), fitted.lr, fitted.xgb)
