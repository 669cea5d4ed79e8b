"""Trials one after the other, and the audit of the days that they took."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console

from cluster.settings import ClusterSettings
from deployments.ledger.archive import Archive
from deployments.ledger.audit import audit
from deployments.ledger.folders import archive_folder
from deployments.ledger.registered_bundles import RegisteredBundles
from features.errors import ClusterError
from loadtests.chaos.client import Habits
from loadtests.chaos.places import Places
from loadtests.chaos.report import table_of
from loadtests.chaos.row import Row, broken
from loadtests.chaos.trial import Trial, run


@dataclass(frozen=True, slots=True)
class Result:
    """The rows of a run, and a sentence for each promise that was broken."""

    rows: list[Row]
    problems: list[str]


def run_trials(
    settings: ClusterSettings,
    trials: Sequence[Trial],
    rate: float,
    seed: int,
    may_interrupt: bool,
    console: Console,
    places: Places | None = None,
) -> Result:
    """Run trials one after the other, then audit the days that they took. One that did not end is a problem, too.

    Args:
        places: of the service; None: on this machine alone.
    """
    began = datetime.now(UTC).date().isoformat()
    rows: list[Row] = []
    problems: list[str] = []
    for number, trial in enumerate(trials):
        with console.status(trial.words) as status:
            say = lambda text, words=trial.words: status.update(f"{words}: {text}")  # noqa: E731
            try:
                rows.append(asyncio.run(run(trial, settings, Habits(rate), seed + number, say, places)))
            except ClusterError as error:  # The others can still be run, and are worth it.
                problems.append(f"{trial.name}: {error}")
                continue
        console.print(table_of(rows[-1:]))
    problems += [sentence for row in rows for sentence in broken(row, may_interrupt)]
    return Result(rows, problems + audited(settings, began, [trial.name for trial in trials]))


def audited(settings: ClusterSettings, since: str, names: Sequence[str]) -> list[str]:
    """Return a sentence for each day since one whose audit finds a difference.

    Args:
        names: of the trials, whose payments must be there once. What others decided twice, such as a replay that
            first forgets all decisions, is theirs to explain.
    """
    archive, bundles = Archive(archive_folder(settings.data)), RegisteredBundles(settings.mlflow_uri)
    ours = tuple(f"{name}-" for name in names)
    sentences = []
    for day in archive.days():
        if day < since:
            continue
        found = audit(archive, day, bundles)
        repeated = [name for name in found.repeated if name.startswith(ours)]
        if found.differences or repeated:
            examples = [one.transaction_id for one in found.differences[:3]] + repeated[:3]
            sentences.append(
                f"The audit of {day} found {len(found.differences)} differences and {len(repeated)}"
                f" transactions more than once: {', '.join(examples)}."
            )
    return sentences
