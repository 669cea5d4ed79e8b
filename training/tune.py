"""Tune: search the parameters of a fit on earlier weeks, by successive halving on Ray.

A search can be killed at any moment; the same command goes on where it was, and ends with the same result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import ray

from features.definitions import fingerprint
from training.data_version import data_version
from training.evaluate import DEFAULT_FOLDER, protocol_label
from training.evaluation.late_labels import check_known
from training.evaluation.metrics import METRIC_NAMES, MetricSettings
from training.evaluation.protocols import Fold, spanning
from training.experiment import open_experiment
from training.fit_parameters import FitParameters
from training.local_ray import local_ray
from training.parameter_file import ParameterFile, Tuned
from training.progress import StepBar, progress_bar
from training.split import count_days
from training.tuning.allowed_folds import tuning_folds
from training.tuning.errors import TuningRefused
from training.tuning.kept_rows import are_kept, keep_rows
from training.tuning.results import Trial, TuningResult
from training.tuning.run_log import TuningRuns
from training.tuning.search import fits_left, on_ray, search
from training.tuning.space import draw_trials, load_space
from training.tuning.study import BEST_FILE, LABELS, RESULT_FILE, Study, StudySettings, write_at_once
from training.tuning.trial import SCORES, FoldOutcome

DEFAULT_PARAMETERS: Final = FitParameters()
DEFAULT_PROTOCOL: Final = "earlier-weeks"
DEFAULT_OBJECTIVE: Final = "ensemble.average_precision"
DEFAULT_TRIALS: Final = 27
METRICS: Final = MetricSettings(replicates=0)


@dataclass(frozen=True, slots=True)
class Tuning:
    """A result, the folder with its files, and the parent run that holds it (None: it was not logged)."""

    result: TuningResult
    folder: Path
    run_id: str | None

    @property
    def best_file(self) -> Path:
        """The file of parameters that `tollgate train` and `tollgate evaluate` take."""
        return self.folder / BEST_FILE


def tune(
    history: Path,
    *,
    tracking_uri: str,
    protocol: str = DEFAULT_PROTOCOL,
    trials: int = DEFAULT_TRIALS,
    reduction: int = 3,
    objective: str = DEFAULT_OBJECTIVE,
    space: Path | None = None,
    seed: int = 0,
    defaults: FitParameters = DEFAULT_PARAMETERS,
    settings: MetricSettings = METRICS,
    parallel: int | None = None,
    cores: int = 1,
    folder: Path | None = None,
    restart: bool = False,
    log: bool = True,
    show_progress: bool = True,
    ray_address: str | None = None,
) -> Tuning:
    """Return the best parameters that a search finds, and leave them in a file; nothing is registered.

    Args:
        history: a history folder.
        tracking_uri: MLflow's address.
        protocol: a name, or a YAML file. None of its tests may be held back for what is reported.
        trials: parameters to try, the defaults among them.
        reduction: one trial in so many is given more tests.
        objective: score and metric, "ensemble.average_precision"; its mean over the tests is to be high.
        space: YAML file; None: the space that comes with Tollgate.
        seed: of the drawing of trials.
        parallel: fits at once; None: as many as the cores of the cluster allow.
        cores: of each fit.
        folder: for the state and the result, seen by every node; None: ``results/tune-<protocol>``.
        restart: forget the search that the folder holds.
        ray_address: a running cluster; None: a private Ray on this machine, gone at the end.

    Raises:
        TuningRefused: a test is held back, the space or the objective is unknown, or the folder holds another
            search.
        EvaluationRefused: there is no such protocol, or it does not fit the history.
        InvalidHistory, RegistryUnavailable: known before a fit.
    """
    score, metric = _objective(objective)
    searched = load_space(space)
    folds = tuning_folds(protocol, count_days(history))
    check_known(history, folds)
    label = protocol_label(protocol)
    experiment = open_experiment(tracking_uri) if log else ""
    asked = StudySettings(
        data_sha256=data_version(history).sha256,
        fingerprint=fingerprint(),
        protocol=label,
        folds={fold.name: _periods(fold) for fold in folds},
        labels=LABELS,
        space={name: values.model_dump(mode="json") for name, values in searched.items()},
        defaults=defaults.model_dump(mode="json"),
        trials=trials,
        reduction=reduction,
        seed=seed,
        score=score,
        metric=metric,
        metric_settings=settings.model_dump(mode="json"),
    )
    study = Study.open((folder or DEFAULT_FOLDER / f"tune-{label}").resolve(), asked, restart=restart)
    drawn = draw_trials(searched, trials, seed, defaults)
    runs = TuningRuns(tracking_uri, experiment, study.id, label, _said(asked, history)) if log else None
    with progress_bar(show=show_progress) as progress, local_ray(ray_address):
        bar = StepBar(progress, "Tune", 1)
        with bar.step("features"):
            if not are_kept(study.rows):
                keep_rows(history, spanning([fold.whole for fold in folds]), study.rows)
        bar.expect(fits_left(study, folds, trials, reduction), "fits")

        def ended(outcome: FoldOutcome) -> None:
            if runs is not None:
                runs.log(outcome, drawn[outcome.trial], folds)
            bar.advance()

        best = search(
            study,
            folds,
            trials=trials,
            reduction=reduction,
            score=score,
            metric=metric,
            fit=on_ray(study.rows, drawn, settings, cores=cores, parallel=parallel or _room(cores)),
            ended=ended,
        )
    result = _result(study, asked, folds, drawn, best)
    _write(study, result, folds)
    if runs is not None:
        runs.end(result, [study.folder / BEST_FILE, study.folder / RESULT_FILE])
    return Tuning(result, study.folder, runs.parent if runs else None)


def _objective(name: str) -> tuple[str, str]:
    score, _, metric = name.partition(".")
    higher = [one for one in METRIC_NAMES if one not in ("brier", "calibration_error", "cost")]
    if score not in SCORES or metric not in higher:
        raise TuningRefused(
            f"There is no objective {name!r}: it is one of {', '.join(SCORES)}, a dot, and one of"
            f" {', '.join(higher)}."
        )
    return score, metric


def _room(cores: int) -> int:
    """Return how many fits the cluster has cores for, at least one."""
    there = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    return max(1, there // cores)


def _periods(fold: Fold) -> str:
    parts = {"train": fold.train, "validation": fold.validation, "test": fold.test}
    words = [f"{name} {part.since:%Y-%m-%d} until {part.until:%Y-%m-%d}" for name, part in parts.items()]
    known = f"known since {fold.known_since:%Y-%m-%d}" if fold.known_since else "nobody left out"
    return ", ".join([*words, known])


def _said(asked: StudySettings, history: Path) -> dict[str, object]:
    """Return the parameters of the parent run."""
    names = ("data_sha256", "protocol", "trials", "reduction", "seed")
    said: dict[str, object] = {name: getattr(asked, name) for name in names}
    searched = {f"space.{name}": values for name, values in asked.space.items()}
    return {"history": history.name, "objective": f"{asked.score}.{asked.metric}", **said, **searched}


def _result(
    study: Study, asked: StudySettings, folds: Sequence[Fold], drawn: Sequence[FitParameters], best: int
) -> TuningResult:
    found = []
    for number, parameters in enumerate(drawn):
        outcomes = [study.outcome(number, fold.name) for fold in folds]
        seen = tuple(outcome for outcome in outcomes if outcome is not None)
        found.append(Trial(number=number, parameters=parameters, outcomes=seen))
    names = tuple(fold.name for fold in folds)
    return TuningResult(created_at=datetime.now(UTC), settings=asked, folds=names, trials=tuple(found), best=best)


def _write(study: Study, result: TuningResult, folds: Sequence[Fold]) -> None:
    asked = result.settings
    objective = (asked.score, asked.metric)
    tuned = Tuned(
        study=study.id,
        protocol=asked.protocol,
        tests=result.folds,
        until=max(fold.test.until for fold in folds),
        objective=".".join(objective),
        value=result.winner.mean(*objective),
        default_value=result.defaults.mean(*objective),
        trials=asked.trials,
        seed=asked.seed,
        data_sha256=asked.data_sha256,
        feature_fingerprint=asked.fingerprint,
    )
    best = ParameterFile(parameters=result.winner.parameters, tuned=tuned)
    write_at_once(study.folder / RESULT_FILE, result.model_dump_json(indent=1))
    write_at_once(study.folder / BEST_FILE, best.model_dump_json(indent=1))
