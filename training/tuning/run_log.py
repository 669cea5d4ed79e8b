"""A search in MLflow: one parent run, and under it a run for each trial that has ended a fit.

Runs are found again by tags, so a search that goes on after it was killed goes on in the same runs. A trial's
metrics are logged with the number of the test as step; those under ``mean/`` are over the tests so far.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from training.evaluation.protocols import Fold
from training.experiment import flat
from training.fit_parameters import FitParameters
from training.mlflow_client import mlflow_client, talking_to_mlflow
from training.tuning.results import Trial, TuningResult
from training.tuning.trial import FoldOutcome

if TYPE_CHECKING:
    from mlflow.entities import Run

STUDY_TAG: Final = "tollgate.study"
TRIAL_TAG: Final = "tollgate.trial"
PARENT_TAG: Final = "mlflow.parentRunId"


class TuningRuns:
    """The runs of one search.

    Args:
        tracking_uri: MLflow's address; experiment: id.
        study: id of the search.
        label: of the search, for people.
        parameters: of the parent run.

    Raises:
        RegistryUnavailable: from every method, too: the tracking server does not answer, or refuses.
    """

    def __init__(
        self, tracking_uri: str, experiment: str, study: str, label: str, parameters: Mapping[str, Any]
    ) -> None:
        self._tracking_uri = tracking_uri
        self._experiment = experiment
        self._study = study
        with talking_to_mlflow(tracking_uri):
            self._client = mlflow_client(tracking_uri)
            found = self._runs()
            parents = [run for run in found if PARENT_TAG not in run.data.tags]
            if parents:
                self.parent = str(parents[0].info.run_id)
                self._client.update_run(self.parent, status="RUNNING")
            else:
                self.parent = self._begin(f"tune {label}", {"kind": "tuning"}, parameters)
        self._trials = {
            int(run.data.tags[TRIAL_TAG]): str(run.info.run_id) for run in found if TRIAL_TAG in run.data.tags
        }

    def log(self, outcome: FoldOutcome, parameters: FitParameters, folds: Sequence[Fold]) -> None:
        """Log an outcome to the run of its trial, which is begun with the first one.

        To log the same again changes nothing that is shown.
        """
        step = [fold.name for fold in folds].index(outcome.fold)
        values = {
            f"{score}_{metric}": value
            for score, metrics in outcome.metrics.items()
            for metric, value in metrics.items()
        }
        values |= {"xgb_rounds": float(outcome.rounds), "lr_share": outcome.lr_share}
        with talking_to_mlflow(self._tracking_uri):
            if outcome.trial not in self._trials:
                tags = {TRIAL_TAG: str(outcome.trial), PARENT_TAG: self.parent, "kind": "trial"}
                self._trials[outcome.trial] = self._begin(
                    f"trial {outcome.trial}", tags, flat(parameters.model_dump())
                )
            run_id = self._trials[outcome.trial]
            self._metrics(run_id, values, step)
            self._client.set_tag(run_id, f"test {step}", outcome.fold)
            if outcome.failed is not None:
                self._client.set_tag(run_id, "failed", outcome.failed)

    def end(self, result: TuningResult, files: Sequence[Path]) -> None:
        """Log what the search found, and end all its runs."""
        with talking_to_mlflow(self._tracking_uri):
            for trial in result.trials:
                if trial.number in self._trials:
                    self._end_trial(trial, self._trials[trial.number])
            self._metrics(self.parent, {f"mean/{name}": v for name, v in result.winner.figures.items()}, 0)
            self._metrics(self.parent, {"gain": result.gain, "best_trial": float(result.best)}, 0)
            for file in files:
                self._client.log_artifact(self.parent, str(file))
            self._client.set_terminated(self.parent)

    def _end_trial(self, trial: Trial, run_id: str) -> None:
        self._metrics(run_id, {f"mean/{name}": value for name, value in trial.figures.items()}, 0)
        self._client.set_tag(run_id, "tests seen", str(len(trial.outcomes)))
        failed = any(outcome.failed is not None for outcome in trial.outcomes)
        self._client.set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def _runs(self) -> "list[Run]":
        found: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], f"tags.`{STUDY_TAG}` = '{self._study}'", page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    def _begin(self, name: str, tags: Mapping[str, str], parameters: Mapping[str, Any]) -> str:
        from mlflow.entities import Param

        run = self._client.create_run(self._experiment, run_name=name, tags={STUDY_TAG: self._study, **tags})
        run_id = str(run.info.run_id)
        self._client.log_batch(run_id, params=[Param(key, str(value)) for key, value in parameters.items()])
        return run_id

    def _metrics(self, run_id: str, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        defined = {name: value for name, value in values.items() if value == value}
        self._client.log_batch(
            run_id, metrics=[Metric(name, value, now_ms, step) for name, value in defined.items()]
        )
