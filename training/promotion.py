"""Whether a version that was just trained may take the champion's place."""

from collections.abc import Callable

from features.definitions import fingerprint
from features.errors import BundleRefused, RegistryUnavailable
from training.bundle import Bundle
from training.evaluation.errors import EvaluationRefused
from training.evaluation.judged import JudgedFold
from training.evaluation.metrics import MetricSettings
from training.evaluation.paired import paired_differences, worse_in
from training.evaluation.version_periods import check_not_seen, version_periods
from training.registry import Registry


def reason_against(
    candidate: JudgedFold, judge: Callable[[Bundle], JudgedFold], registry: Registry, name: str, alias: str
) -> str:
    """Return why the candidate must not take the place of what the alias names; "" when it may.

    Which it may unless it is worse than that beyond noise, on its own test period and by the rule of ``tollgate
    models promote``, or the two cannot be compared.

    Args:
        judge: judges another bundle on the same payments.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    champion = registry.aliases(name).get(alias) if registry.versions(name) else None
    if champion is None:
        return ""
    try:
        bundle, version = registry.load(name, champion, fingerprint())
        check_not_seen(candidate.fold, version_periods(version, bundle.manifest, registry.tracking_uri), champion)
    except (BundleRefused, EvaluationRefused, RegistryUnavailable) as error:
        return f"it cannot be compared with version {champion}: {error}"
    settings = MetricSettings(threshold=bundle.manifest.thresholds.fraud)
    differences = paired_differences(
        candidate.rows, judge(bundle).scores["ensemble"], candidate.scores["ensemble"], settings
    )
    worse = " and ".join(metric.replace("_", " ") for metric in worse_in(differences))
    return f"it is worse than version {champion} beyond noise, in {worse}" if worse else ""
