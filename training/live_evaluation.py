"""Evaluate through the live endpoint: metrics of the decisions that were served, beside those of the offline path.

A test period goes through HTTP in order of arrival, each label to the store when it becomes known
(:mod:`training.replay`). The served scores are judged like offline ones, on the same payments; both must be equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from features.definitions import fingerprint
from training.api_key import key_headers
from training.bundle import Bundle, EnsembleWeights
from training.evaluate import DEFAULT_SETTINGS, Output, protocol_label, write
from training.evaluation.assemble import evaluation_result
from training.evaluation.errors import EvaluationRefused
from training.evaluation.judged import JudgedFold
from training.evaluation.metrics import METRIC_NAMES, MetricSettings
from training.evaluation.own_features import FeatureRows
from training.evaluation.protocols import Fold, Protocol, fold_of, load_protocol
from training.evaluation.results import EvaluationResult, Subject
from training.evaluation.run_log import log_to_run
from training.evaluation.version_periods import check_not_seen, period_fold, version_periods
from training.local_ray import local_ray
from training.models import Floats
from training.registry import CHAMPION, MODEL_NAME, Registry
from training.replay import DEFAULT_URL, TIMEOUT_S, Period, Replayer
from training.replay_report import ReplayReport
from training.scoring_client import Answer, Failure, ScoringClient, Weights
from training.scratch import scratch_folder
from training.split import count_days

TOLERANCE: Final = 1e-6
"""Relative distance up to which a metric of served scores equals the offline one."""
CHUNK: Final = 256
DEFAULT_OUTPUT: Final = Output()


@dataclass(frozen=True, slots=True)
class LiveEvaluation:
    """What an evaluation through the live endpoint found.

    Attributes:
        replay: every feature and score that was served against the offline one.
        result: of the served scores; differences: "score metric" to served less offline, where they differ.
        folder: with the files; run_id: of the version that was served, None when nothing was logged.
    """

    replay: ReplayReport
    result: EvaluationResult
    differences: Mapping[str, float]
    folder: Path
    run_id: str | None

    @property
    def ok(self) -> bool:
        """Whether every answer came and equals the offline path, and every metric does."""
        return self.replay.ok and not self.differences


def evaluate_live(
    history: Path,
    *,
    redis_url: str,
    tracking_uri: str,
    url: str = DEFAULT_URL,
    model: str = CHAMPION,
    model_name: str = MODEL_NAME,
    protocol: str | None = None,
    since: date | None = None,
    until: date | None = None,
    clear: bool = False,
    settings: MetricSettings = DEFAULT_SETTINGS,
    threshold: float | None = None,
    output: Output = DEFAULT_OUTPUT,
) -> LiveEvaluation:
    """Return how good the decisions of the live service are on days that its model has not seen.

    Args:
        redis_url, tracking_uri, url, clear: as :func:`training.replay.replay`.
        model: the version that is served, by alias or number.
        protocol: judge on its test, of which it must have one; None: on a period.
        since, until: the first day, and the day after the last; None: those of the version's own test period.
        settings: their threshold is not used.
        threshold: at which payments are flagged; None: that of the policy in service.

    Raises:
        EvaluationRefused: as :func:`training.evaluate.evaluate_version`; or the protocol has several tests.
        ReplayRefused, ServiceUnavailable, OnlineStoreUnavailable: as :func:`training.replay.replay`.
        RegistryUnavailable, BundleRefused, InvalidHistory: as their modules say.
    """
    registry = Registry(tracking_uri)
    bundle, version = registry.load(model_name, model, fingerprint())
    periods = version_periods(version, bundle.manifest, tracking_uri)
    asked = Protocol() if protocol is None else load_protocol(protocol)
    days = count_days(history)
    fold = fold_of(asked, days) if protocol else period_fold(days, periods, since, until)
    check_not_seen(fold, periods, version.version)
    answers: dict[str, Answer] = {}

    def hear(results: Sequence[Answer | Failure]) -> None:
        answers.update({r.transaction_id: r for r in results if isinstance(r, Answer)})

    with httpx.Client(base_url=url, headers=key_headers(), timeout=TIMEOUT_S) as http:
        service = ScoringClient(http)
        replayer = Replayer(service, registry, redis_url, model, output.show_progress)
        period = Period(fold.test.since, fold.test.until)
        report = replayer.run(history, period, clear=clear, chunk=CHUNK, heard=hear)
        policy = service.served_model().policy
        bundle = _as_served(bundle, policy.weights)
    with local_ray(None):
        offline, ids = _judged(history, fold, bundle)
    served = replace(offline, scores=_scores(answers, ids))
    label = f"live-{protocol_label(protocol) if protocol else fold.name}"
    name = f"version {version.version} of {model_name!r}"
    subject = Subject(
        title=f"{name.capitalize()} through the live endpoint, on {asked.title or fold.name}",
        protocol=protocol and protocol_label(protocol),
        source=asked.source,
        model=f"{name}, as it was served",
        features="product",
        fingerprint=bundle.manifest.feature_fingerprint,
        history=history.name,
        command=output.command,
    )
    acting = policy.thresholds or bundle.manifest.thresholds
    settings = settings.model_copy(update={"threshold": acting.fraud if threshold is None else threshold})
    now = datetime.now(UTC)
    result, expected = (
        evaluation_result(subject, [judged], settings, now, policy=acting, published=asked.published)
        for judged in (served, offline)
    )
    folder = write(result, output.folder or Path("results") / f"evaluate-{label}-v{version.version}")
    if output.log:
        log_to_run(tracking_uri, version.run_id, label, result, folder)
    differences = different_metrics(result, expected)
    return LiveEvaluation(report, result, differences, folder, version.run_id if output.log else None)


def different_metrics(served: EvaluationResult, offline: EvaluationResult) -> dict[str, float]:
    """Return "score metric" to the difference, for each metric that is further apart than ``TOLERANCE``."""
    found = {}
    for score, metrics in offline.overall.items():
        for name in METRIC_NAMES:
            wanted = getattr(metrics, name).value
            got = getattr(served.overall[score], name).value
            both_undefined = wanted != wanted and got != got
            if not both_undefined and not abs(got - wanted) <= TOLERANCE * max(1.0, abs(wanted)):
                found[f"{score} {name}"] = got - wanted
    return found


def _as_served(bundle: Bundle, weights: Weights | None) -> Bundle:
    """Return the bundle with the weights of the policy in service, if that names any."""
    if weights is None:
        return bundle
    total = weights.lr + weights.xgb
    own = EnsembleWeights(lr=weights.lr / total, xgb=weights.xgb / total)
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"ensemble": own}))


def _judged(history: Path, fold: Fold, bundle: Bundle) -> tuple[JudgedFold, list[str]]:
    with scratch_folder() as folder:
        rows = FeatureRows.of(history, fold.judging, folder, ids=True)
        return rows.judge(fold, bundle), rows.ids_of(rows.judged(fold))


def _scores(answers: Mapping[str, Answer], ids: Sequence[str]) -> dict[str, Floats]:
    """Return the served scores (n,) of payments.

    Raises:
        EvaluationRefused: a payment has no score, so that no metric could be computed.
    """
    found: dict[str, list[float | None]] = {"lr": [], "xgb": [], "ensemble": []}
    for transaction_id in ids:
        answer = answers.get(transaction_id)
        found["lr"].append(answer.model_scores.lr if answer else None)
        found["xgb"].append(answer.model_scores.xgb if answer else None)
        found["ensemble"].append(answer.fraud_probability if answer else None)
    scores = {name: np.array(values, np.float64) for name, values in found.items()}
    missing = int(max(np.isnan(values).sum() for values in scores.values()))
    if missing:
        raise EvaluationRefused(
            f"{missing:,} of {len(ids):,} payments have no served score, so the service cannot be judged on them."
            " Look at GET /ready and run it again."
        )
    return scores
