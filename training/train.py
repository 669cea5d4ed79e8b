"""Train: from a history to a registered bundle, one step after the other."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.progress import Progress, TaskID

from features.definitions import FEATURE_NAMES, fingerprint
from training.bundle import Bundle, Manifest, Period, Thresholds
from training.costs import Costs
from training.data_version import DataVersion, data_version
from training.evaluation.assemble import evaluation_result
from training.evaluation.judged import JudgedFold
from training.evaluation.late_labels import check_known, words_on_late_labels
from training.evaluation.metrics import MetricSettings
from training.evaluation.own_features import FeatureRows
from training.evaluation.protocols import Fold, fold_of, load_protocol, split_of
from training.evaluation.results import Subject
from training.evaluation.scored_rows import score_rows
from training.experiment import flat, log_run, open_experiment
from training.feature_files import FeatureTable, count_frauds
from training.fit import FitFacts, fit
from training.fit_parameters import FitParameters
from training.fitted_bundle import fitted_bundle
from training.local_ray import local_ray
from training.metrics import ScoreMetrics
from training.model_card import model_card
from training.parameter_file import Tuned
from training.progress import progress_bar
from training.promotion import reason_against
from training.registry import CHAMPION, MODEL_NAME, RegisteredVersion, Registry
from training.report import TrainingReport
from training.scratch import scratch_folder
from training.split import GAP_DAYS, PartCounts, Split, count_days, count_part, split_in_time
from training.thresholds import ChosenThresholds, choose_thresholds

DEFAULT_PARAMETERS: Final = FitParameters()
DEFAULT_THRESHOLDS: Final = Thresholds()
DEFAULT_COSTS: Final = Costs()
NO_ORIGIN: Final[Mapping[str, str]] = {}
STEPS: Final = ("split", "features", "fit", "evaluate", "register")
CARD_REPLICATES: Final = 200
"""Bootstrap samples of the intervals in the model card: enough for two digits."""
SAMPLE_ROWS: Final = 1_000
"""Rows that MLflow reads the signature from."""


def train(
    history: Path,
    *,
    tracking_uri: str,
    model_name: str = MODEL_NAME,
    alias: str = CHAMPION,
    promote: bool = True,
    workers: int = 2,
    since: date | None = None,
    until: date | None = None,
    validation_days: int | None = None,
    test_days: int | None = None,
    gap_days: int = GAP_DAYS,
    protocol: str | None = None,
    parameters: FitParameters = DEFAULT_PARAMETERS,
    origin: Mapping[str, str] = NO_ORIGIN,
    tuned: Tuned | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    costs: Costs = DEFAULT_COSTS,
    apply_thresholds: bool = False,
    ray_address: str | None = None,
    storage: Path | None = None,
    created_at: datetime | None = None,
    show_progress: bool = True,
    entering: Callable[[str], None] = lambda _: None,
) -> TrainingReport:
    """Fit both models on a history, evaluate them on its last days, and register the bundle.

    The same data, parameters, number of workers, cores and ``created_at`` give the same bundle, bit for bit.

    Args:
        history: a history folder (:mod:`training.history_files`).
        tracking_uri: MLflow's address: ``http(s)://`` or ``sqlite:///``.
        promote: let the alias name the new version, unless :func:`training.promotion.reason_against` says why not.
        alias: what names the version that decides.
        workers: Ray Train workers.
        since, until, validation_days, test_days, gap_days: bounds of :func:`training.split.split_in_time`.
        protocol: a name or a YAML file; it divides the history in place of these, and has a single test.
        origin: what the run says of where the parameters came from.
        tuned: how they were found; where that was on days of the test, the card says so.
        thresholds: of the bundle. Those of least cost on the validation period are reported beside them.
        costs: what outcomes cost, and how many reviews there can be.
        apply_thresholds: take those of least cost, recall favoured, in place of ``thresholds``.
        ray_address: a running cluster; None: a private Ray on this machine, gone at the end.
        storage: folder that every node can write, for features and Ray Train's checkpoint, in folders of their own
            that are gone afterwards; None: where temporary files of this machine go (``TMPDIR``).
        created_at: what the bundle says of when it was made; None: now.
        show_progress: draw the steps on stderr.
        entering: called with the name of each of ``STEPS`` as it begins.

    Raises:
        InvalidHistory: the history cannot be read, is too short, or has too few frauds, or too few known in time.
        EvaluationRefused: there is no such protocol, it has several tests, or the history lacks its days.
        RegistryUnavailable: MLflow does not answer; asked before anything is computed.
        OutOfSpace: the disk is too full for the features.
    """
    with _Steps.shown(entering, show=show_progress) as steps:
        with steps.step("split"):
            experiment, registry = open_experiment(tracking_uri), Registry(tracking_uri)
            version_of_data = data_version(history)
            days = count_days(history)
            if protocol is None:
                split = split_in_time(
                    days,
                    since=since,
                    until=until,
                    validation_days=validation_days,
                    test_days=test_days,
                    gap_days=gap_days,
                )
                fold = Fold("test", split.train, split.validation, split.test, None)
            else:
                fold = fold_of(load_protocol(protocol), days)
                split = split_of(fold, days)
            parts = ("train", "validation", "test")
            counts = {part: count_part(days, getattr(split, part)) for part in parts}
            check_known(history, [fold])
            late = words_on_late_labels(history, [fold])
        with local_ray(ray_address), scratch_folder(storage) as folder:
            with steps.step("features"):
                rows = FeatureRows.of(history, fold.whole, folder, judging=fold.judging)
            with steps.step("fit"):
                train_rows, validation_rows = (
                    rows.learned(part, split.test) for part in (split.train, split.validation)
                )
                fitted = fit(train_rows, validation_rows, workers=workers, parameters=parameters, storage=storage)
            with steps.step("evaluate"):
                manifest = _manifest(split, train_rows, thresholds, history, version_of_data)
                manifest = manifest.model_copy(update={"created_at": created_at or manifest.created_at})
                bundle = fitted_bundle(manifest, fitted, validation_rows)
                validated = score_rows(bundle, validation_rows)
                best_f1 = validated.best_f1_threshold()
                by_cost = choose_thresholds(validated.outcomes(), costs)
                if apply_thresholds:
                    bundle = _with_thresholds(bundle, by_cost.thresholds)
                judged = rows.judge(fold, bundle)
                metrics = judged.metrics(bundle.manifest.thresholds.fraud)
                sample = np.concatenate(list(rows.matrices(np.arange(min(SAMPLE_ROWS, len(rows.held))))))
                against = (
                    reason_against(
                        judged,
                        lambda other: rows.judge(fold, other),
                        version_of_data.files.values(),
                        registry,
                        model_name,
                        alias,
                    )
                    if promote
                    else ""
                )
                bundle = _with_card(_with_metrics(bundle, metrics), judged, costs, tuned)
        with steps.step("register"):
            run_id = log_run(
                tracking_uri,
                experiment,
                parameters=flat(
                    {
                        "workers": workers,
                        "data_sha256": version_of_data.sha256,
                        **parameters.model_dump(),
                        **origin,
                    }
                ),
                metrics=_logged_metrics(metrics, best_f1, by_cost, fitted.facts),
                data=_data(history, version_of_data, {**split.periods(), "judging": fold.judging}, counts),
                thresholds={"costs": costs.model_dump(), "applied": apply_thresholds, **asdict(by_cost)},
                lr=fitted.lr,
                xgb=fitted.xgb,
                sample=sample,
            )
            version = _register(registry, bundle, run_id, model_name)
            if promote and not against:
                registry.promote(version.version, alias, model_name)
    return TrainingReport(
        version=version,
        alias=alias if promote and not against else None,
        against=against,
        late_labels=late,
        split=split,
        counts=counts,
        metrics=metrics,
        best_f1_threshold=best_f1,
        by_cost=by_cost,
        thresholds=bundle.manifest.thresholds,
        ensemble=bundle.manifest.ensemble,
        facts=fitted.facts,
        durations_s=steps.durations_s,
    )


def _manifest(
    split: Split, train_rows: FeatureTable, thresholds: Thresholds, history: Path, version_of_data: DataVersion
) -> Manifest:
    return Manifest(
        feature_fingerprint=fingerprint(),
        feature_names=FEATURE_NAMES,
        thresholds=thresholds,
        training_period=split.train,
        training_rows=len(train_rows),
        training_frauds=count_frauds(train_rows),
        created_at=datetime.now(UTC),
        data=f"history {history.name}",
        data_sha256=version_of_data.sha256,
    )


def _with_thresholds(bundle: Bundle, thresholds: Thresholds) -> Bundle:
    """Return the bundle with other thresholds; no score of it changes."""
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"thresholds": thresholds}))


def _with_metrics(bundle: Bundle, metrics: Mapping[str, ScoreMetrics]) -> Bundle:
    as_floats = {score: values.as_floats() for score, values in metrics.items()}
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"metrics": as_floats}))


def _with_card(bundle: Bundle, judged: JudgedFold, costs: Costs, tuned: Tuned | None) -> Bundle:
    policy = bundle.manifest.thresholds
    settings = MetricSettings(threshold=policy.fraud, replicates=CARD_REPLICATES, costs=costs)
    subject = Subject(
        title="",
        protocol=None,
        source="",
        model="",
        features="product",
        fingerprint=bundle.manifest.feature_fingerprint,
        history=bundle.manifest.data,
        command="tollgate train",
    )
    result = evaluation_result(subject, [judged], settings, bundle.manifest.created_at, policy=policy)
    card = model_card(bundle.manifest, judged.fold, result, tuned)
    # By way of text, in which a figure that is undefined is null.
    return replace(bundle, card=json.loads(card.model_dump_json()))


def _register(registry: Registry, bundle: Bundle, run_id: str, name: str) -> RegisteredVersion:
    manifest = bundle.manifest
    ensemble = manifest.metrics["ensemble"]
    tags = {
        "feature_fingerprint": manifest.feature_fingerprint,
        "data_sha256": manifest.data_sha256 or "",
        "thresholds": manifest.thresholds.model_dump_json(),
        "ensemble": manifest.ensemble.model_dump_json(),
        **{f"test_{name}": f"{ensemble[name]:.4f}" for name in ("roc_auc", "average_precision", "brier")},
    }
    with tempfile.TemporaryDirectory(prefix="tollgate-bundle-") as folder:
        bundle.save(Path(folder))
        return registry.publish(Path(folder), run_id, name, tags)


def _logged_metrics(
    metrics: Mapping[str, ScoreMetrics], best_f1_threshold: float, by_cost: ChosenThresholds, facts: FitFacts
) -> dict[str, float]:
    logged = {
        f"test_{score}_{name}": value
        for score, values in metrics.items()
        for name, value in values.as_floats().items()
    }
    logged |= {f"fit_{name}": float(value) for name, value in asdict(facts).items()}
    return {
        **logged,
        "validation_best_f1_threshold": best_f1_threshold,
        "validation_cheapest_review_threshold": by_cost.choice.review,
        "validation_cheapest_block_threshold": by_cost.choice.block,
    }


def _data(
    history: Path,
    version_of_data: DataVersion,
    periods: Mapping[str, Period],
    counts: Mapping[str, PartCounts],
) -> dict[str, Any]:
    return {
        "history": str(history),
        "sha256": version_of_data.sha256,
        "files": dict(version_of_data.files),
        "periods": {name: period.model_dump(mode="json") for name, period in periods.items()},
        "rows": {part: asdict(count) for part, count in counts.items()},
    }


@dataclass
class _Steps:
    """The steps of a run: drawn while they last, timed for the report."""

    progress: Progress
    task: TaskID
    entering: Callable[[str], None]
    durations_s: dict[str, float] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def shown(cls, entering: Callable[[str], None], *, show: bool) -> Iterator["_Steps"]:
        with progress_bar(show=show) as progress:
            yield cls(progress, progress.add_task("Train", total=len(STEPS)), entering)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.entering(name)
        self.progress.update(self.task, description=f"Train: {name}")
        began = time.perf_counter()
        yield
        self.durations_s[name] = time.perf_counter() - began
        self.progress.advance(self.task)
