"""Another version of a registered model: the same bundle under a new number, for changes of the served version."""

from mlflow import MlflowClient

from training.registry import CHAMPION, MODEL_NAME, Registry, talking_to_mlflow


def second_version(tracking_uri: str) -> tuple[str, str]:
    """Register the champion's bundle once more; return the version of the champion and the new one.

    Raises:
        RegistryUnavailable: the registry does not answer, or has no champion.
    """
    champion = Registry(tracking_uri).resolve(CHAMPION)
    with talking_to_mlflow(tracking_uri):
        client = MlflowClient(tracking_uri, tracking_uri)
        source = client.get_model_version(MODEL_NAME, champion.version).source
        assert source is not None  # Tollgate registers no version without one.
        copied = client.create_model_version(MODEL_NAME, source, champion.run_id, tags=dict(champion.tags))
    return champion.version, str(copied.version)
