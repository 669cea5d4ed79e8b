"""An evaluation in MLflow: its figures and files, in the run that made the model or in one of its own."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.evaluation.results import EvaluationResult
from training.experiment import open_experiment
from training.mlflow_client import mlflow_client, talking_to_mlflow


def log_to_run(tracking_uri: str, run_id: str, label: str, result: EvaluationResult, files: Path) -> None:
    """Log an evaluation of a registered version to the run that made it, under ``evaluate_<label>``.

    Args:
        label: the protocol, or the first day of the period.
        files: folder whose content becomes artifacts.

    Raises:
        RegistryUnavailable: the tracking server does not answer, or refuses.
    """
    with talking_to_mlflow(tracking_uri):
        from mlflow.entities import Metric

        client = mlflow_client(tracking_uri)
        now_ms = int(time.time() * 1000)
        client.log_batch(
            run_id,
            metrics=[
                Metric(f"evaluate_{label}/{name}", value, now_ms, 0) for name, value in result.figures.items()
            ],
        )
        client.log_artifacts(run_id, str(files), f"evaluate_{label}")


def log_new_run(
    tracking_uri: str, label: str, result: EvaluationResult, files: Path, parameters: Mapping[str, Any]
) -> str:
    """Log an evaluation under a protocol as a run of its own, and return its id.

    Raises:
        RegistryUnavailable: as :func:`log_to_run`.
    """
    experiment = open_experiment(tracking_uri)
    with talking_to_mlflow(tracking_uri):
        from mlflow.entities import Param

        client = mlflow_client(tracking_uri)
        run = client.create_run(experiment, run_name=f"evaluate {label}", tags={"kind": "evaluation"})
        run_id = str(run.info.run_id)
        client.log_batch(run_id, params=[Param(name, str(value)) for name, value in parameters.items()])
    log_to_run(tracking_uri, run_id, label, result, files)
    with talking_to_mlflow(tracking_uri):
        client.set_terminated(run_id)
    return run_id
