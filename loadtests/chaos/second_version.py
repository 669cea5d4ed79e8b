"""Another version of a registered model, which scores otherwise, for changes of the served version.

So a decision that mixed the two, or was logged under the other one's number, would differ when it is made again.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from mlflow import MlflowClient

from features.definitions import fingerprint
from training.bundle import Bundle
from training.experiment import open_experiment
from training.models import BoostedModel
from training.registry import CHAMPION, MODEL_NAME, Registry, talking_to_mlflow

LOG_ODDS: Final = 0.5
"""What its logistic regression adds to every payment; of the trees it lacks the last."""


def second_version(tracking_uri: str) -> tuple[str, str]:
    """Register a bundle like the champion's with other scores; return the version of the champion and the new one.

    Raises:
        RegistryUnavailable: the registry does not answer, or has no champion.
    """
    registry = Registry(tracking_uri)
    bundle, champion = registry.load(MODEL_NAME, CHAMPION, fingerprint())
    experiment = open_experiment(tracking_uri)
    with talking_to_mlflow(tracking_uri), tempfile.TemporaryDirectory() as folder:
        other_scores(bundle).save(Path(folder))
        run_id = MlflowClient(tracking_uri, tracking_uri).create_run(experiment).info.run_id
        new = registry.publish(Path(folder), run_id, tags={"feature_fingerprint": fingerprint()})
    return champion.version, new.version


def other_scores(bundle: Bundle) -> Bundle:
    """Return a bundle whose models both give every payment another score."""
    rounds = bundle.xgb.booster.num_boosted_rounds()
    return replace(
        bundle,
        lr=replace(bundle.lr, intercept=bundle.lr.intercept + LOG_ODDS),
        xgb=BoostedModel(bundle.xgb.booster[: rounds - 1]),
    )
