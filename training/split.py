"""The split of a history in time, never at random: a model is judged on a future that it has not seen.

    | warm-up | train | validation | gap | test |

Warm-up: windows are not full yet, so these days are history and not rows. Gap: the label delay, or more. Train
and validation end before it, because on the first test day no later label would have been known.
"""

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import D30, DAY_MS, LABEL_DELAY_MS
from features.errors import InvalidHistory
from training.bundle import Period
from training.history_files import day_of, read_history

GAP_DAYS: Final = LABEL_DELAY_MS // DAY_MS
WARM_UP_DAYS: Final = (D30.duration_ms + LABEL_DELAY_MS) // DAY_MS
"""Days after which every window is full: the longest window, ended a label delay ago."""
WARM_UP_SHARE: Final = 0.25
"""Share of a short history that warms up at most."""
TEST_SHARE: Final = 0.2
VALIDATION_SHARE: Final = 0.1
MIN_FRAUDS: Final = 5
"""Frauds that each part needs; with fewer neither a fit nor a metric means anything."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DayCounts:
    """What each of d consecutive UTC days holds.

    Attributes:
        first: the first day.
        rows, frauds, unlabelled: (d,) rows of the day, those that are fraud, those without a label.
    """

    first: date
    rows: Counts
    frauds: Counts
    unlabelled: Counts

    @property
    def labelled(self) -> range:
        """Positions from the first day of which any row has a label to the last; all days, where none has."""
        days = np.flatnonzero(self.rows > self.unlabelled)
        return range(int(days[0]), int(days[-1]) + 1) if len(days) else range(len(self.rows))

    def index(self, day: date) -> int:
        """Return the position of a day, bounded to 0..d."""
        return min(max((day - self.first).days, 0), len(self.rows))


@dataclass(frozen=True, slots=True)
class PartCounts:
    """The rows of one part of the split; ``labelled`` rows are used, ``unlabelled`` ones are left out."""

    labelled: int
    frauds: int
    unlabelled: int


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a history, [since, until) each. Under a protocol, validation may lie before training."""

    warm_up: Period
    train: Period
    validation: Period
    gap: Period
    test: Period

    def periods(self) -> dict[str, Period]:
        """Return name to period, in order of time."""
        periods = {field.name: getattr(self, field.name) for field in fields(self)}
        return dict(sorted(periods.items(), key=lambda part: part[1].since))


def split_in_time(
    counts: DayCounts,
    *,
    since: date | None = None,
    until: date | None = None,
    validation_days: int | None = None,
    test_days: int | None = None,
    gap_days: int = GAP_DAYS,
) -> Split:
    """Return the split of a history, whole UTC days throughout.

    Args:
        counts: the days of the history.
        since: first day to train on; by default the warm-up is left out: 37 days, or a quarter of a history
            that is too short for it, and so are days before the first one with labels.
        until: the day after the last test day; by default that after the last one with labels.
        validation_days, test_days: by default 10 % and 20 % of the days from the first one with labels on.
        gap_days: between validation and test; more than the label delay where labels come later than that.

    Raises:
        InvalidHistory: a part has no day, or too few frauds or other payments; says what to do.
    """
    labelled = counts.labelled
    begin = 0
    end = labelled.stop if until is None else counts.index(until)
    days = end - labelled.start
    test = max(1, round(TEST_SHARE * days)) if test_days is None else test_days
    validation = max(1, round(VALIDATION_SHARE * days)) if validation_days is None else validation_days
    if test < 1 or validation < 1:
        raise InvalidHistory(f"test ({test}) and validation ({validation}) need at least one day each")
    if gap_days < GAP_DAYS:
        raise InvalidHistory(f"the gap ({gap_days} days) must be no shorter than the label delay, {GAP_DAYS} days")
    warm_up = max(min(WARM_UP_DAYS, int(WARM_UP_SHARE * end)), labelled.start)
    train = warm_up if since is None else counts.index(since)
    test_since = end - test
    gap_since = test_since - gap_days
    validation_since = gap_since - validation
    if validation_since <= train:
        raise InvalidHistory(
            f"{end} days of history are too few: {train} days before training, {validation} of validation,"
            f" {gap_days} of label delay and {test} of test leave none to train on. Bring a longer history or"
            " fewer test days."
        )
    bounds = [_midnight(counts.first, day) for day in (begin, train, validation_since, gap_since, test_since, end)]
    split = Split(*(Period(since=a, until=b) for a, b in pairwise(bounds)))
    for name, period in (("training", split.train), ("validation", split.validation), ("test", split.test)):
        _check_part(name, period, count_part(counts, period))
    return split


def count_part(counts: DayCounts, period: Period) -> PartCounts:
    """Return what a period of whole days holds."""
    days = slice(counts.index(period.since.date()), counts.index(period.until.date()))
    unlabelled = int(counts.unlabelled[days].sum())
    return PartCounts(int(counts.rows[days].sum()) - unlabelled, int(counts.frauds[days].sum()), unlabelled)


def count_days(history: Path) -> DayCounts:
    """Return what each day of a history holds, from two of its columns, read block by block.

    Raises:
        InvalidHistory: it is no history, or holds no row.
    """
    tallies: dict[int, Counts] = {}
    for block in read_history(history).to_batches(columns=["event_time", "is_fraud"]):
        if len(block):
            _tally(tallies, block)
    if not tallies:
        raise InvalidHistory(f"{history} holds no transaction; ingest or simulate a history first")
    first, last = min(tallies), max(tallies)
    table = np.zeros((last - first + 1, 3), np.int64)
    for number, tally in tallies.items():
        table[number - first] = tally
    return DayCounts(day_of(first), table[:, 0], table[:, 1], table[:, 2])


def _tally(tallies: dict[int, Counts], block: pa.RecordBatch) -> None:
    """Add the rows, frauds and missing labels of a block to the tally of each day number."""
    day = block.column("event_time").cast(pa.int64()).to_numpy() // DAY_MS
    label = block.column("is_fraud").fill_null(-1).to_numpy()
    first = int(day.min())
    offset, days = day - first, int(day.max()) - first + 1
    table = np.stack(
        [np.bincount(offset[mask], minlength=days) for mask in (label >= -1, label == 1, label == -1)], axis=1
    )
    for position in np.flatnonzero(table[:, 0]).tolist():
        tallies[first + position] = tallies.get(first + position, np.zeros(3, np.int64)) + table[position]


def _midnight(first: date, days: int) -> datetime:
    return datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(days=days)


def _check_part(name: str, period: Period, part: PartCounts) -> None:
    legitimate = part.labelled - part.frauds
    if part.frauds >= MIN_FRAUDS and legitimate >= MIN_FRAUDS:
        return
    lacking = "frauds" if part.frauds < MIN_FRAUDS else "legitimate payments"
    raise InvalidHistory(
        f"The {name} period {period.since:%Y-%m-%d} to {period.until:%Y-%m-%d} has {part.frauds} frauds among"
        f" {part.labelled} labelled rows ({part.unlabelled} have no label): too few {lacking}, {MIN_FRAUDS} are"
        " needed. Bring a longer history, check that labels are joined in, or move the bounds."
    )
