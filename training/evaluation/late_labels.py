"""Labels that a history says became known too late for the test that they were learned from before."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]

from features.known_labels import is_recorded, label_changes
from training.arrivals import milliseconds
from training.bundle import Period
from training.history_files import read_history


def words_on_late_labels(history: Path, tests: Iterable[tuple[Period, Period]]) -> str | None:
    """Return what a reader of figures must know of frauds that were learned from too early; None: there are none.

    A fit takes each verdict as the history has it. Where the history records when labels became known, some may
    have become known only after the test had begun, and no model of that day could have learned from them.

    Args:
        tests: of each the time that was learned from, validation included, and the test.

    Raises:
        InvalidHistory: the history cannot be read.
    """
    for learned, test in tests:
        late, frauds = late_frauds(history, learned, test)
        if late:
            return (
                f"Of the {frauds:,} frauds that were learned from before the test of {test.since:%Y-%m-%d},"
                f" {late:,} became known only after it had begun: the figures are better than those of any model"
                " of that day. A longer gap before the test (`gap_days` of a protocol) leaves them out."
            )
    return None


def late_frauds(history: Path, learned: Period, test: Period) -> tuple[int, int]:
    """Return how many frauds of a period became known only after a test began, as recorded, and of how many."""
    day, time = ds.field("day"), ds.field("event_time")
    first, last = learned.since.date(), (learned.until - timedelta(milliseconds=1)).date()
    chosen = (day >= first.isoformat()) & (day <= last.isoformat()) & (ds.field("is_fraud") == 1)
    chosen &= (time >= pa.scalar(learned.since)) & (time < pa.scalar(learned.until))
    frauds = read_history(history).to_table(columns=["known_labels"], filter=chosen)
    changes = label_changes(frauds)
    recorded = int(is_recorded(frauds).sum())
    in_time = changes.row[(changes.change > 0) & (changes.known_ms <= milliseconds(test.since))]
    return recorded - len(set(in_time.tolist())), len(frauds)
