"""Frauds that nobody knew of as a test began are told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import InvalidHistory
from tests.parity.histories import MONDAY, history_table
from tests.parity.oracle import DAY, Event
from tests.unit.training.written_histories import write_history
from training.bundle import Period
from training.evaluation.late_labels import check_known, late_frauds, words_on_late_labels
from training.evaluation.protocols import Fold

START = datetime.fromtimestamp(MONDAY / 1000, UTC)
WEEK = timedelta(days=7)
LEARNED = Period(since=START + WEEK, until=START + 2 * WEEK)
TEST = Period(since=START + 3 * WEEK, until=START + 4 * WEEK)


def fraud(day: float, *known_days: float, label: bool = True) -> Event:
    """Return a fraud of a day, whose label became known after so many days each."""
    time = MONDAY + int(day * DAY)
    labels = tuple((time + int(later * DAY), label) for later in known_days)
    event = Event(id=f"t{day}", time=time, amount=100, customer="c", merchant="m", fraud=True)
    return replace(event, labels=labels) if known_days else event


@pytest.fixture
def history(tmp_path: Path) -> Path:
    events = [
        fraud(6.9, 100),  # Before the days that are learned from.
        fraud(7.0),  # Nobody says when it became known.
        fraud(8.0, 13.0),  # As the test begins.
        fraud(9.0, 12.1),  # An hour or two after it.
        fraud(10.0, 40, 3),  # Said twice.
        fraud(11.0, 1, label=False),  # Never known as a fraud by a recorded label.
        fraud(13.9, 30),
        fraud(14.0, 100),  # After them.
    ]
    genuine = replace(fraud(12.0, 100), id="genuine", fraud=False)
    return write_history(tmp_path / "history", history_table([*events, genuine]))


def fold(learned: Period = LEARNED) -> Fold:
    """Return a fold that learns from a period, its last day for validation."""
    day = learned.until - timedelta(days=1)
    train, validation = Period(since=learned.since, until=day), Period(since=day, until=learned.until)
    return Fold("week", train, validation, TEST, None)


def test_those_that_became_known_once_the_test_had_begun_are_counted(history: Path) -> None:
    assert late_frauds(history, LEARNED, TEST) == (3, 6)
    said = words_on_late_labels(history, [fold()])
    assert said is not None
    assert said.startswith(f"Of the 6 frauds before the test of {TEST.since:%Y-%m-%d}, 3 were not known as such")


def test_where_all_were_known_nothing_is_said(history: Path) -> None:
    first_days = Period(since=LEARNED.since, until=START + timedelta(days=9))
    assert late_frauds(history, first_days, TEST) == (0, 2)
    assert words_on_late_labels(history, [fold(first_days)]) is None


@pytest.mark.parametrize(("late", "known"), [(0, True), (1, False)])
def test_with_too_few_that_were_known_nothing_is_begun(tmp_path: Path, late: int, known: bool) -> None:
    days = [7.0, 7.1, 7.2, 7.3, 7.4, 13.1, 13.2, 13.3, 13.4, 13.5]
    events = [fraud(day, 30.0 if at >= len(days) - late else 1.0) for at, day in enumerate(days)]
    written = write_history(tmp_path / "history", history_table(events))
    if known:
        check_known(written, [fold()])
    else:
        with pytest.raises(InvalidHistory, match=r"Of the 5 frauds from .* 4 were known as such when"):
            check_known(written, [fold()])
