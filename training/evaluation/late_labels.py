"""Frauds that nobody knew of in time to learn them before a test."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]

from features.errors import InvalidHistory
from features.known_labels import Verdicts
from training.arrivals import milliseconds
from training.bundle import Period
from training.evaluation.protocols import Fold, spanning
from training.evaluation.results import FoldResult
from training.feature_files import LABEL, VERDICTS
from training.history_files import read_history
from training.split import MIN_FRAUDS


def words_on_late_labels(history: Path, folds: Iterable[Fold | FoldResult]) -> str | None:
    """Return how many frauds were left out of learning, as nobody knew of them yet; None: none.

    Raises:
        InvalidHistory: the history cannot be read.
    """
    for fold in folds:
        late, frauds = late_frauds(history, spanning([fold.train, fold.validation]), fold.test)
        if late:
            return (
                f"Of the {frauds:,} frauds before the test of {fold.test.since:%Y-%m-%d}, {late:,} were not known"
                " as such when it began, and are not learned from. A longer gap before the test (--gap-days, or"
                " gap_days of a protocol) leaves out the other payments of those days, too."
            )
    return None


def check_known(history: Path, folds: Iterable[Fold]) -> None:
    """Check that enough frauds were known as each test began, so that models can learn from them.

    Raises:
        InvalidHistory: of a period of training or validation too few were; or the history cannot be read.
    """
    for fold in folds:
        for period in (fold.train, fold.validation):
            late, frauds = late_frauds(history, period, fold.test)
            if frauds - late < MIN_FRAUDS:
                raise InvalidHistory(
                    f"Of the {frauds:,} frauds from {period.since:%Y-%m-%d} to {period.until:%Y-%m-%d}"
                    f" {frauds - late} were known as such when the test began on {fold.test.since:%Y-%m-%d};"
                    f" {MIN_FRAUDS} are needed. Leave a longer gap before the test."
                )


def late_frauds(history: Path, learned: Period, test: Period) -> tuple[int, int]:
    """Return how many frauds of a period were not known as such when a test began, and of how many."""
    day, time = ds.field("day"), ds.field("event_time")
    first, last = learned.since.date(), (learned.until - timedelta(milliseconds=1)).date()
    chosen = (day >= first.isoformat()) & (day <= last.isoformat()) & (ds.field(LABEL) == 1)
    chosen &= (time >= pa.scalar(learned.since)) & (time < pa.scalar(learned.until))
    frauds = read_history(history).to_table(columns=list(VERDICTS), filter=chosen)
    known = Verdicts.of(frauds).known_by(milliseconds(test.since))
    return len(frauds) - int((known == 1).sum()), len(frauds)
