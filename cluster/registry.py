"""The embedded model registry: one light MLflow server over a SQLite file."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from cluster.environment import component_environment
from cluster.ports import ours_holds
from cluster.processes import MLFLOW, owned_by, start_detached
from cluster.settings import LOOPBACK, ClusterSettings
from cluster.waiting import wait_until
from features.definitions import fingerprint
from features.errors import ClusterError, RegistryUnavailable
from features.store_address import public_address

MODEL = "tollgate"
ALIAS = "champion"
HEALTH_TIMEOUT_S = 3.0


def start_mlflow(settings: ClusterSettings, base: Mapping[str, str]) -> None:
    """Start ``mlflow server`` on the state folder and wait until it answers.

    Raises:
        ClusterError: the server did not answer in time, or ended.
    """
    log = settings.logs / "mlflow.log"
    start_detached(
        mlflow_command(settings),
        environment=component_environment(settings, MLFLOW, base)
        | {
            # The runner of background jobs (scorers, evaluations) is four more processes for nothing.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        folder=settings.work,
        log=log,
    )
    uri = settings.mlflow_uri
    wait_until(lambda: answers(uri) or not owned_by(settings.home, MLFLOW), settings.waits.mlflow_s)
    # A stranger that took the port in the meantime would answer as well.
    if not ours_holds(settings.ports.mlflow, settings.home) or not answers(uri):
        raise ClusterError(f"MLflow did not answer at {uri}; its log is {log}.")


def mlflow_command(settings: ClusterSettings) -> list[str]:
    """Return the command line of a server with one worker that also serves the artifacts."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", LOOPBACK, "--port", str(settings.ports.mlflow), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{settings.home / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", (settings.home / "mlartifacts").as_uri()),
    ]


def answers(uri: str) -> bool:
    """Return whether the tracking server answers; a file or database address has no server to ask."""
    if not uri.startswith(("http://", "https://")):
        return True
    try:
        return httpx.get(f"{uri.rstrip('/')}/health", timeout=HEALTH_TIMEOUT_S).is_success
    except httpx.TransportError:
        return False


@dataclass(frozen=True)
class Champion:
    """The version that the alias ``champion`` names.

    Attributes:
        version: its number.
        fingerprint: of the feature definitions that it was trained on; None where the registry does not say.
    """

    version: str
    fingerprint: str | None

    @property
    def fits(self) -> bool:
        """Whether this release computes the features that it was trained on, as far as the registry says."""
        return self.fingerprint in (None, fingerprint())


def champion(uri: str) -> Champion | None:
    """Return what the alias ``champion`` names, None when the registry has none.

    Raises:
        ClusterError: the registry does not answer, or refuses.
    """
    if not answers(uri):
        raise ClusterError(
            f"The model registry at {public_address(uri)} does not answer; see MLFLOW_TRACKING_URI."
        )
    from training.mlflow_client import mlflow_client, talking_to_mlflow

    try:
        with talking_to_mlflow(uri):
            # Imported here because it takes two seconds, which `tollgate --help` need not wait for.
            from mlflow.exceptions import MlflowException

            try:
                found = mlflow_client(uri).get_model_version_by_alias(MODEL, ALIAS)
            except MlflowException as error:
                if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                return None
    except RegistryUnavailable as error:
        raise ClusterError(str(error)) from None
    return Champion(str(found.version), found.tags.get("feature_fingerprint"))
