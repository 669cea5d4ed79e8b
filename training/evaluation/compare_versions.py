"""Two registered versions on the same days of a history, which neither has seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from features.definitions import fingerprint
from training.evaluation.metrics import MetricSettings
from training.evaluation.own_features import FeatureRows
from training.evaluation.paired import Difference, paired_differences, worse_in
from training.evaluation.protocols import Fold
from training.evaluation.version_periods import check_not_seen, period_fold, version_periods
from training.local_ray import local_ray
from training.progress import StepBar, progress_bar
from training.registry import MODEL_NAME, RegisteredVersion, Registry
from training.scratch import scratch_folder
from training.split import count_days

DEFAULT_SETTINGS: Final = MetricSettings()


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a candidate does beside the champion.

    Attributes:
        champion, candidate: the versions.
        fold: the days that both were judged on.
        rows, frauds: of these days.
        differences: metric to both figures, and the difference of the ensembles with its interval.
        settings: of the metrics.
        worse_in: the decisive metrics in which the candidate is worse beyond noise.
    """

    champion: RegisteredVersion
    candidate: RegisteredVersion
    fold: Fold
    rows: int
    frauds: int
    differences: Mapping[str, Difference]
    settings: MetricSettings
    worse_in: list[str]


def compare_versions(
    history: Path,
    champion: str,
    candidate: str,
    *,
    tracking_uri: str,
    model_name: str = MODEL_NAME,
    since: date | None = None,
    until: date | None = None,
    settings: MetricSettings = DEFAULT_SETTINGS,
    show_progress: bool = True,
    ray_address: str | None = None,
    storage: Path | None = None,
) -> Comparison:
    """Return how a candidate does beside the champion, both judged by their ensembles on the same payments.

    Args:
        champion, candidate: aliases or numbers.
        since, until: the first day, and the day after the last; None: the candidate's own test period.
        settings: their threshold is not used: both are flagged at that of the champion.
        ray_address: a running cluster; None: a private Ray on this machine, gone at the end.
        storage: folder for the features that every node can write; None: where temporary files go.

    Raises:
        RegistryUnavailable: the registry does not answer, or has no such version.
        BundleRefused: a version belongs to other feature definitions.
        EvaluationRefused: there is no such period, it has no frauds, or one of the versions has seen it.
        InvalidHistory: the history cannot be read.
    """
    registry = Registry(tracking_uri)
    loaded = [registry.load(model_name, model, fingerprint()) for model in (champion, candidate)]
    periods = [version_periods(version, bundle.manifest, tracking_uri) for bundle, version in loaded]
    fold = period_fold(count_days(history), periods[1], since, until)
    for (_, version), own in zip(loaded, periods, strict=True):
        check_not_seen(fold, own, version.version)
    settings = settings.model_copy(update={"threshold": loaded[0][0].manifest.thresholds.fraud})
    with progress_bar(show=show_progress) as progress, local_ray(ray_address), scratch_folder(storage) as scratch:
        bar = StepBar(progress, "Compare", 3)
        with bar.step("features"):
            rows = FeatureRows.of(history, fold.judging, scratch)
        with bar.step("scores"):
            judged = [rows.judge(fold, bundle) for bundle, _ in loaded]
        with bar.step("differences and intervals"):
            differences = paired_differences(
                judged[0].rows,
                judged[0].scores["ensemble"],
                judged[1].scores["ensemble"],
                settings,
            )
    held_out = judged[0].rows
    return Comparison(
        loaded[0][1],
        loaded[1][1],
        fold,
        len(held_out),
        int(held_out.labels.sum()),
        differences,
        settings,
        worse_in(differences),
    )
