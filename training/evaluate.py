"""Evaluate: a registered version on a period, or models that are trained and judged under a protocol.

Both give one result: metrics with intervals, by test and by slice, with curves. It goes into a folder (JSON, and
an HTML page that needs nothing beside it) and into MLflow: to the run that made the version, or to one of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from features.definitions import fingerprint
from training.bundle import Bundle, Thresholds
from training.evaluation.assemble import evaluation_result, steps
from training.evaluation.fold_models import fit_fold
from training.evaluation.html_report import html_report
from training.evaluation.judged import JudgedFold
from training.evaluation.late_labels import check_known
from training.evaluation.metrics import MetricSettings
from training.evaluation.own_features import FeatureRows
from training.evaluation.protocols import Fold, Protocol, folds_of, load_protocol, spanning
from training.evaluation.published_baselines import PublishedRows
from training.evaluation.results import EvaluationResult, Features, Subject
from training.evaluation.run_log import log_new_run, log_to_run
from training.evaluation.version_periods import check_not_seen, period_fold, version_periods
from training.experiment import flat, open_experiment
from training.fit_parameters import FitParameters
from training.ingestion.mapping import load_mapping
from training.local_ray import local_ray
from training.progress import StepBar, progress_bar
from training.registry import CHAMPION, MODEL_NAME, Registry
from training.scratch import scratch_folder
from training.split import count_days

RESULT_FILE: Final = "evaluation.json"
REPORT_FILE: Final = "evaluation.html"
DEFAULT_FOLDER: Final = Path("results")
DEFAULT_SETTINGS: Final = MetricSettings()
DEFAULT_PARAMETERS: Final = FitParameters()
DEFAULT_THRESHOLDS: Final = Thresholds()
NO_ORIGIN: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Output:
    """Where a result goes.

    Attributes:
        folder: for the files; None: ``results/evaluate-<label>``, and of a registered version ``-v<version>``.
        log: whether MLflow gets it.
        command: that made it, for the reader.
        show_progress: draw the steps on stderr.
    """

    folder: Path | None = None
    log: bool = True
    command: str = ""
    show_progress: bool = True


DEFAULT_OUTPUT: Final = Output()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A result, the folder with its files, and the run that holds it (None: it was not logged)."""

    result: EvaluationResult
    folder: Path
    run_id: str | None


def evaluate_version(
    history: Path,
    *,
    tracking_uri: str,
    model: str = CHAMPION,
    model_name: str = MODEL_NAME,
    protocol: str | None = None,
    since: date | None = None,
    until: date | None = None,
    settings: MetricSettings = DEFAULT_SETTINGS,
    threshold: float | None = None,
    output: Output = DEFAULT_OUTPUT,
    ray_address: str | None = None,
    storage: Path | None = None,
) -> Evaluation:
    """Return how good a registered version is on days that it has not seen.

    Args:
        model: an alias or a number.
        protocol: judge on the tests of this protocol; None: on a period, of which nobody is left out.
        since, until: its first day, and the day after its last; None: those of the version's own test period.
        settings: their threshold is not used.
        threshold: at which payments are flagged; None: the version's own.
        ray_address: a running cluster; None: a private Ray on this machine, gone at the end.
        storage: folder for the features that every node can write; None: where temporary files go.

    Raises:
        RegistryUnavailable: the registry does not answer, or has no such version.
        BundleRefused: the version belongs to other feature definitions.
        EvaluationRefused: there is no such period or protocol, it is outside the history or has no frauds, or the
            version has seen it.
        InvalidHistory: the history cannot be read.
    """
    bundle, version = Registry(tracking_uri).load(model_name, model, fingerprint())
    periods = version_periods(version, bundle.manifest, tracking_uri)
    asked = Protocol() if protocol is None else load_protocol(protocol)
    days = count_days(history)
    folds = folds_of(asked, days) if protocol else (period_fold(days, periods, since, until),)
    for fold in folds:
        check_not_seen(fold, periods, version.version)
    label = protocol_label(protocol) if protocol else folds[0].name
    name = f"version {version.version} of {model_name!r}"
    subject = Subject(
        title=f"{name.capitalize()} on {asked.title or label}",
        protocol=protocol and label,
        source=asked.source,
        model=name,
        features="product",
        fingerprint=bundle.manifest.feature_fingerprint,
        history=history.name,
        command=output.command,
    )
    settings = _with_threshold(settings, bundle.manifest.thresholds, threshold)
    with (
        progress_bar(show=output.show_progress) as progress,
        local_ray(ray_address),
        scratch_folder(storage) as scratch,
    ):
        bar = StepBar(progress, "Evaluate", 2)
        with bar.step("features"):
            rows = FeatureRows.of(history, spanning([fold.judging for fold in folds]), scratch)
        with bar.step("scores"):
            judged = [rows.judge(fold, bundle) for fold in folds]
        result = _result(subject, judged, settings, bundle.manifest.thresholds, bar, asked)
    folder = write(result, output.folder or DEFAULT_FOLDER / f"evaluate-{label}-v{version.version}")
    if output.log:
        log_to_run(tracking_uri, version.run_id, label, result, folder)
    return Evaluation(result, folder, version.run_id if output.log else None)


def evaluate_protocol(
    history: Path,
    protocol: str,
    *,
    tracking_uri: str,
    features: Features = "product",
    workers: int = 2,
    parameters: FitParameters = DEFAULT_PARAMETERS,
    origin: Mapping[str, str] = NO_ORIGIN,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    settings: MetricSettings = DEFAULT_SETTINGS,
    threshold: float | None = None,
    output: Output = DEFAULT_OUTPUT,
    ray_address: str | None = None,
    storage: Path | None = None,
) -> Evaluation:
    """Return how good models are that are trained and judged under a protocol; nothing is registered.

    Args:
        protocol: a name, or a YAML file.
        features: the product's own and its own training, or the published ones and the baselines of the handbook.
        workers: Ray Train workers.
        origin: what the run says of where the parameters came from.
        thresholds: of the policy that would be served.
        settings: their threshold is not used.
        threshold: at which payments are flagged; None: that of ``thresholds``.
        ray_address, storage: as :func:`evaluate_version`.

    Raises:
        EvaluationRefused, InvalidHistory, RegistryUnavailable: as :func:`evaluate_version`; known before a fit.
    """
    asked = load_protocol(protocol)
    label = protocol_label(protocol) + ("" if features == "product" else "-published")
    if output.log:
        open_experiment(tracking_uri)
    folds = folds_of(asked, count_days(history))
    check_known(history, folds)
    subject = Subject(
        title=asked.title or f"Protocol {label}",
        protocol=protocol_label(protocol),
        source=asked.source,
        model="trained for each test" if features == "product" else "baselines of the handbook for each test",
        features=features,
        fingerprint=fingerprint() if features == "product" else "of the handbook",
        history=history.name,
        command=output.command,
    )
    settings = _with_threshold(settings, thresholds, threshold)
    with progress_bar(show=output.show_progress) as progress:
        bar = StepBar(progress, "Evaluate", 1 + len(folds))
        if features == "published":
            judged = _judge_published(history, asked, folds, bar)
        else:
            with local_ray(ray_address), scratch_folder(storage) as scratch:
                judged = _judge_trained(history, scratch, folds, workers, parameters, thresholds, bar)
        result = _result(subject, judged, settings, thresholds, bar, asked)
    folder = write(result, output.folder or DEFAULT_FOLDER / f"evaluate-{label}")
    run_id = None
    if output.log:
        logged: dict[str, Any] = {"protocol": label, "features": features, "history": history.name}
        if features == "product":
            logged |= {"workers": workers, **flat(parameters.model_dump()), **origin}
        run_id = log_new_run(tracking_uri, label, result, folder, logged)
    return Evaluation(result, folder, run_id)


def write(result: EvaluationResult, folder: Path) -> Path:
    """Write a result into a folder, as JSON and as a page, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULT_FILE).write_text(result.model_dump_json(indent=1), encoding="utf-8")
    (folder / REPORT_FILE).write_text(html_report(result), encoding="utf-8")
    return folder


def protocol_label(protocol: str) -> str:
    """Return the name of a protocol; of a file, its name without folder and ending.

    >>> protocol_label("mine/weekly.yaml"), protocol_label("handbook")
    ('weekly', 'handbook')
    """
    return Path(protocol).stem


def _judge_trained(
    history: Path,
    scratch: Path,
    folds: Sequence[Fold],
    workers: int,
    parameters: FitParameters,
    thresholds: Thresholds,
    bar: StepBar,
) -> list[JudgedFold]:
    with bar.step("features"):
        rows = FeatureRows.of(history, spanning([fold.whole for fold in folds]), scratch)
    judged = []
    for fold in folds:
        with bar.step(f"fit for the test of {fold.name}"):
            bundle: Bundle = fit_fold(rows, fold, workers=workers, parameters=parameters, thresholds=thresholds)
            judged.append(rows.judge(fold, bundle))
    return judged


def _judge_published(history: Path, protocol: Protocol, folds: Sequence[Fold], bar: StepBar) -> list[JudgedFold]:
    with bar.step("published features"):
        mapping = load_mapping(protocol.published.mapping) if protocol.published else None
        rows = PublishedRows.of(history, mapping)
    judged = []
    for fold in folds:
        with bar.step(f"baselines for the test of {fold.name}"):
            judged.append(rows.judge(fold))
    return judged


def _result(
    subject: Subject,
    judged: Sequence[JudgedFold],
    settings: MetricSettings,
    policy: Thresholds,
    bar: StepBar,
    protocol: Protocol,
) -> EvaluationResult:
    bar.expect(steps(judged), "metrics and intervals")
    return evaluation_result(
        subject,
        judged,
        settings,
        datetime.now(UTC),
        policy=policy,
        published=protocol.published,
        advance=bar.advance,
    )


def _with_threshold(settings: MetricSettings, thresholds: Thresholds, threshold: float | None) -> MetricSettings:
    return settings.model_copy(update={"threshold": thresholds.fraud if threshold is None else threshold})
