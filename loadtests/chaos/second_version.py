"""Other versions of a registered model, for changes of the served version: a good one, and a broken one.

Both score otherwise. So a decision that mixed two, or was logged under the other one's number, would differ when
it is made again.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

from features.definitions import fingerprint
from training.bundle import Bundle
from training.experiment import open_experiment
from training.mlflow_client import mlflow_client, talking_to_mlflow
from training.models import BoostedModel
from training.registry import (
    BUNDLE_ARTIFACT,
    CHAMPION,
    MODEL_NAME,
    RegisteredVersion,
    Registry,
)

LOG_ODDS: Final = 0.5
"""What its logistic regression adds to every payment; of the trees it lacks the last."""


def second_version(tracking_uri: str) -> tuple[str, str]:
    """Register a bundle like the champion's with other scores; return the version of the champion and the new one.

    Raises:
        RegistryUnavailable: the registry does not answer, or has no champion.
    """
    registry = Registry(tracking_uri)
    bundle, champion = registry.load(MODEL_NAME, CHAMPION, fingerprint())
    return champion.version, _publish(registry, other_scores(bundle)).version


def broken_version(tracking_uri: str) -> tuple[str, str]:
    """Register the champion's bundle once more, then put others of its files in the artifact store.

    Return the version of the champion and the new one. Its files make a whole bundle, which could be
    served; nothing but the registry's digests tells that they are not those that were registered.

    Raises:
        RegistryUnavailable: the registry does not answer, or has no champion.
    """
    registry = Registry(tracking_uri)
    bundle, champion = registry.load(MODEL_NAME, CHAMPION, fingerprint())
    new = _publish(registry, bundle)
    with talking_to_mlflow(tracking_uri), tempfile.TemporaryDirectory() as folder:
        other_scores(bundle).save(Path(folder))
        mlflow_client(tracking_uri).log_artifacts(new.run_id, folder, BUNDLE_ARTIFACT)
    return champion.version, new.version


def _publish(registry: Registry, bundle: Bundle) -> RegisteredVersion:
    uri = registry.tracking_uri
    experiment = open_experiment(uri)
    with talking_to_mlflow(uri), tempfile.TemporaryDirectory() as folder:
        bundle.save(Path(folder))
        run_id = mlflow_client(uri).create_run(experiment).info.run_id
        return registry.publish(Path(folder), run_id, tags={"feature_fingerprint": fingerprint()})


def other_scores(bundle: Bundle) -> Bundle:
    """Return a bundle whose models both give every payment another score."""
    rounds = bundle.xgb.booster.num_boosted_rounds()
    return replace(
        bundle,
        lr=replace(bundle.lr, intercept=bundle.lr.intercept + LOG_ODDS),
        xgb=BoostedModel(bundle.xgb.booster[: rounds - 1]),
    )
