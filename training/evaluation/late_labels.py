"""Frauds that became known too late to be learned from before a test."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]

from features.known_labels import verdict_changes
from training.arrivals import milliseconds
from training.bundle import Period
from training.feature_files import LABEL, VERDICTS
from training.history_files import read_history


def words_on_late_labels(history: Path, tests: Iterable[tuple[Period, Period]]) -> str | None:
    """Return how many frauds the models took for legitimate, as nobody knew of them yet; None: none.

    Args:
        tests: of each the time that was learned from, validation included, and the test.

    Raises:
        InvalidHistory: the history cannot be read.
    """
    for learned, test in tests:
        late, frauds = late_frauds(history, learned, test)
        if late:
            return (
                f"Of the {frauds:,} frauds before the test of {test.since:%Y-%m-%d}, {late:,} became known only"
                " after it had begun. The models learned them as legitimate payments, as any model of that day"
                " would have. A longer gap before the test (--gap-days, or gap_days of a protocol) leaves those"
                " days out."
            )
    return None


def late_frauds(history: Path, learned: Period, test: Period) -> tuple[int, int]:
    """Return how many frauds of a period were not known as such when a test began, and of how many."""
    day, time = ds.field("day"), ds.field("event_time")
    first, last = learned.since.date(), (learned.until - timedelta(milliseconds=1)).date()
    chosen = (day >= first.isoformat()) & (day <= last.isoformat()) & (ds.field(LABEL) == 1)
    chosen &= (time >= pa.scalar(learned.since)) & (time < pa.scalar(learned.until))
    frauds = read_history(history).to_table(columns=list(VERDICTS), filter=chosen)
    known = verdict_changes(frauds).standing(len(frauds), milliseconds(test.since))
    return len(frauds) - int(known.sum()), len(frauds)
