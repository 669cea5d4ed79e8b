"""What a registered version was fitted on, and its own test period, as its run recorded them."""

import json
import tempfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from training.bundle import Manifest, Period
from training.evaluation.errors import EvaluationRefused
from training.evaluation.protocols import LABEL_DELAY_DAYS, Fold, check_part
from training.experiment import DATA_FILE
from training.mlflow_client import mlflow_client, talking_to_mlflow
from training.registry import RegisteredVersion
from training.split import DayCounts

_SEEN: Final = ("train", "validation")


def version_periods(version: RegisteredVersion, manifest: Manifest, tracking_uri: str) -> Mapping[str, Period]:
    """Return the periods of a version's split: "train", "validation", "test" and others; "train" at least.

    "judging" is the time whose frauds the test goes by: from before it where customers known as defrauded are left
    out (:attr:`training.evaluation.protocols.Fold.judging`).

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    periods = _recorded(version, tracking_uri).get("periods", {})
    own = {name: Period.model_validate(period) for name, period in periods.items()}
    return {"train": manifest.training_period, **own}


def learned_files(version: RegisteredVersion, tracking_uri: str) -> frozenset[str]:
    """Return the digests of the files of the history that a version was made from; none where none are recorded.

    Raises:
        RegistryUnavailable: the registry does not answer.
    """
    return frozenset(_recorded(version, tracking_uri).get("files", {}).values())


def _recorded(version: RegisteredVersion, tracking_uri: str) -> Mapping[str, Any]:
    """Return what the run of a version recorded of its data."""
    with talking_to_mlflow(tracking_uri), tempfile.TemporaryDirectory(prefix="tollgate-data-") as folder:
        from mlflow.artifacts import download_artifacts

        client = mlflow_client(tracking_uri)
        if DATA_FILE not in {file.path for file in client.list_artifacts(version.run_id)}:
            return {}
        # Through the run: it works alike on SQLite and HTTP.
        downloaded = download_artifacts(
            run_id=version.run_id, artifact_path=DATA_FILE, dst_path=folder, tracking_uri=tracking_uri
        )
        found: dict[str, Any] = json.loads(Path(downloaded).read_text("utf-8"))
        return found


def period_fold(days: DayCounts, periods: Mapping[str, Period], since: date | None, until: date | None) -> Fold:
    """Return the fold that judges a version on a period. Nobody is left out, but of its own test as it was judged.

    Args:
        days: what each day of the history holds.
        periods: of the version.
        since, until: the first day, and the day after the last; None: those of the version's own test, as far as
            only one is given the rest of the history.

    Raises:
        EvaluationRefused: there is no such period, it lies outside the history, or it has no frauds.
    """
    if since is None and until is None and "test" not in periods:
        raise EvaluationRefused("The version records no test period of its own; say --since, or name a protocol.")
    own = periods.get("test")
    first = _midnight(since) if since else own.since if own else periods["train"].until
    if until:
        end = _midnight(until)
    elif since or own is None:
        end = _midnight(days.first) + timedelta(days=len(days.rows))
    else:
        end = own.until
    if first >= end:
        raise EvaluationRefused(f"The period ends on {end:%Y-%m-%d}, before it begins on {first:%Y-%m-%d}.")
    test = Period(since=first, until=end)
    check_part(days, test, "the period")
    train = periods["train"]
    known_since = periods["judging"].since if test == own and "judging" in periods else first
    return Fold(
        f"{first:%Y-%m-%d}",
        train,
        periods.get("validation", train),
        test,
        known_since if known_since < first else None,
    )


def check_not_seen(fold: Fold, periods: Mapping[str, Period], version: str) -> None:
    """Check that a version learned from no label that was unknown when a test began.

    Raises:
        EvaluationRefused: it was fitted on payments of the test, or of the days of label delay before it; or it
            learned verdicts that became known later, as its own test begins later.
    """
    seen_until = max(periods[name].until for name in _SEEN if name in periods)
    known_until = fold.test.since - timedelta(days=LABEL_DELAY_DAYS)
    if seen_until > known_until:
        raise EvaluationRefused(
            f"Version {version} was fitted on payments until {seen_until:%Y-%m-%d}. A test from"
            f" {fold.test.since:%Y-%m-%d} needs one fitted on none after {known_until:%Y-%m-%d}, as labels are"
            f" known {LABEL_DELAY_DAYS} days later. Choose later days, or train under a protocol without --model."
        )
    own = periods.get("test")
    if own is not None and fold.test.since < own.since:
        raise EvaluationRefused(
            f"Version {version} learned what was known on {own.since:%Y-%m-%d}, when its own test began; a test"
            f" from {fold.test.since:%Y-%m-%d} begins before that. Choose later days."
        )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
