from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from training.split import DayCounts
from training.tuning.allowed_folds import held_back_since, tuning_folds
from training.tuning.errors import TuningRefused


def days(count: int = 183, first: date = date(2018, 4, 1)) -> DayCounts:
    """Return the days of a history with 20 frauds each; by default those of the handbook's."""
    return DayCounts(first, np.full(count, 1000), np.full(count, 20), np.zeros(count, np.int64))


@pytest.mark.parametrize("protocol", ["handbook", "handbook-long", "last-week", "prequential", "earlier-weeks"])
def test_the_week_that_is_reported_and_all_later_days_are_refused(protocol: str) -> None:
    with pytest.raises(TuningRefused, match="from 2018-08-08 on this history is held back"):
        tuning_folds(protocol, days())


@pytest.mark.parametrize("protocol", ["handbook-earlier", "handbook-long-earlier"])
def test_earlier_weeks_are_taken_the_latest_first(protocol: str) -> None:
    folds = tuning_folds(protocol, days())
    assert [fold.name for fold in folds] == ["2018-07-25", "2018-07-18", "2018-07-11"]


def test_folds_of_ones_own_are_held_to_the_same(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("test_since: [2018-08-01]", encoding="utf-8")
    assert [fold.name for fold in tuning_folds(str(own), days())] == ["2018-08-01"]
    for text, since in (
        ("test_since: [2018-08-08]", "2018-08-08"),
        ("test_since: [2018-08-02]", "2018-08-08"),
        ("{test_since: [2018-07-11], held_back: true}", "2018-07-11"),
    ):
        own.write_text(text, encoding="utf-8")
        with pytest.raises(TuningRefused, match=f"from {since} on this history is held back"):
            tuning_folds(str(own), days())


def test_of_another_history_the_last_week_is_held_back() -> None:
    other = days(120, date(2026, 1, 1))
    assert held_back_since(other) == datetime(2026, 4, 24, tzinfo=UTC)
    assert [fold.name for fold in tuning_folds("earlier-weeks", other)] == [
        "2026-04-17",
        "2026-04-10",
        "2026-04-03",
    ]
    for protocol in ("last-week", "prequential"):
        with pytest.raises(TuningRefused, match="week of 2026-04-24,"):
            tuning_folds(protocol, other)
