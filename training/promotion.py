"""Whether a version that was just trained may take the champion's place."""

from collections.abc import Callable, Collection

from features.definitions import fingerprint
from features.errors import BundleRefused, RegistryUnavailable
from training.bundle import Bundle
from training.evaluation.errors import EvaluationRefused
from training.evaluation.judged import JudgedFold
from training.evaluation.metrics import MetricSettings
from training.evaluation.paired import paired_differences, worse_in
from training.evaluation.version_periods import check_not_seen, learned_files, version_periods
from training.registry import Registry


def reason_against(
    candidate: JudgedFold,
    judge: Callable[[Bundle], JudgedFold],
    files: Collection[str],
    registry: Registry,
    name: str,
    alias: str,
) -> str:
    """Return why the candidate must not take the place of what the alias names; "" when it may.

    Which it may unless it is worse than that beyond noise, on its own test period and by the rule of ``tollgate
    models promote``, or the two cannot be compared.

    Args:
        judge: judges another bundle on the same payments.
        files: digests of the files of the history that the candidate was made from. A champion that was made from
            none of them has not seen the payments, whatever their days.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    champion = registry.aliases(name).get(alias) if registry.versions(name) else None
    if champion is None:
        return ""
    try:
        bundle, version = registry.load(name, champion, fingerprint())
        learned = learned_files(version, registry.tracking_uri)
        if not learned or not learned.isdisjoint(files):
            periods = version_periods(version, bundle.manifest, registry.tracking_uri)
            check_not_seen(candidate.fold, periods, champion)
    except (BundleRefused, EvaluationRefused, RegistryUnavailable) as error:
        return f"it cannot be compared with version {champion}: {error}"
    settings = MetricSettings(threshold=bundle.manifest.thresholds.fraud)
    differences = paired_differences(
        candidate.rows, judge(bundle).scores["ensemble"], candidate.scores["ensemble"], settings
    )
    worse = " and ".join(metric.replace("_", " ") for metric in worse_in(differences))
    return f"it is worse than version {champion} beyond noise, in {worse}" if worse else ""
