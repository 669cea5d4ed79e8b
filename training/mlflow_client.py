"""The way to MLflow: its settings, its client, and its errors as one of ours.

MLflow is imported at the first use, as it takes seconds: a process that never asks stays light.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from features.errors import RegistryUnavailable
from features.store_address import public_address

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MLFLOW_DEFAULTS: Final = {
    # Used where the environment does not say otherwise.
    # MLflow's own defaults are two minutes a request and seven retries: a quarter of an hour until an error.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


@contextmanager
def talking_to_mlflow(tracking_uri: str) -> Iterator[None]:
    """Have MLflow prepared while the block runs, and turn what it raises into RegistryUnavailable.

    It must be entered before MLflow is imported, because MLflow reads some of its settings then.
    """
    for name, value in _MLFLOW_DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        where = public_address(tracking_uri)
        unreached = _unreached(error)
        if unreached:
            raise RegistryUnavailable(
                f"The registry at {where} cannot be reached: {unreached}. Is it up (`tollgate status`), and does"
                " MLFLOW_TRACKING_URI name it?"
            ) from None
        reason = re.sub(r"//\S*@", "//", str(error).splitlines()[0])
        # From none: MLflow's words hold user and password, and Serve shows the traceback of a replica that fails.
        raise RegistryUnavailable(f"The registry at {where} failed: {reason}") from None


def mlflow_client(tracking_uri: str) -> "MlflowClient":
    """Return a client of the runs and the models at an address, whatever address MLflow's own variables name.

    MLflow is imported here, which takes seconds. Within :func:`talking_to_mlflow`, its errors are ours.
    """
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def _unreached(error: BaseException | None) -> str:
    """Return what the system says of a connection that failed, where that is behind an error; else ""."""
    while error is not None:
        if isinstance(error, TimeoutError):
            return "it did not answer in time"
        if isinstance(error, ConnectionError | socket.gaierror) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return ""
