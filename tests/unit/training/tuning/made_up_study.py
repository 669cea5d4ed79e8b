"""A search without a fit: made-up outcomes, in folders that are gone after the test."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from training.bundle import Period
from training.evaluation.protocols import Fold
from training.tuning.search import Wanted
from training.tuning.study import LABELS, Study, StudySettings
from training.tuning.trial import FoldOutcome


class Killed(Exception):
    """The search is killed: what a test raises in the place of a signal."""


def settings(**changed: object) -> StudySettings:
    """Return what was asked of a search."""
    asked = StudySettings(
        data_sha256="d",
        fingerprint="f",
        protocol="p",
        folds={"a": "x"},
        labels=LABELS,
        space={},
        defaults={},
        trials=9,
        reduction=3,
        seed=0,
        score="ensemble",
        metric="average_precision",
        metric_settings={},
    )
    return asked.model_copy(update=changed)


def opened(folder: Path, *, restart: bool = False, **changed: object) -> Study:
    """Return the study in a folder."""
    return Study.open(folder, settings(**changed), restart=restart)


def folds(count: int) -> list[Fold]:
    """Return folds of which nothing but the name matters."""
    day = datetime(2026, 1, 1, tzinfo=UTC)
    period = Period(since=day, until=day + timedelta(days=7))
    return [Fold(f"fold {number}", period, period, period, None) for number in range(count)]


class FakeFits:
    """Makes outcomes from a table; the last come first, and it is killed after some of them.

    Args:
        values: trial to the objective on each fold; None: the fit fails.
        killed_after: outcomes until then.
    """

    def __init__(self, values: Sequence[Sequence[float | None]], killed_after: int | None = None) -> None:
        self.made: list[tuple[int, str]] = []
        self._values = values
        self._killed_after = killed_after

    def __call__(self, wanted: Wanted) -> Iterator[FoldOutcome]:
        """Yield the outcome of each fit."""
        for trial, fold in reversed(wanted):
            if len(self.made) == self._killed_after:
                raise Killed
            self.made.append((trial, fold.name))
            value = self._values[trial][int(fold.name.split()[1])]
            if value is None:
                yield FoldOutcome(trial=trial, fold=fold.name, failed="made up")
            else:
                metrics = {"ensemble": {"average_precision": value}}
                yield FoldOutcome(trial=trial, fold=fold.name, metrics=metrics)
