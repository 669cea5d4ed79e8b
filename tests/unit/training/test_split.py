from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InvalidHistory
from features.history import HISTORY_SCHEMA
from training.history_files import writing_history
from training.split import GAP_DAYS, DayCounts, PartCounts, count_days, count_part, split_in_time

FIRST = date(2025, 1, 1)


def steady(days: int, frauds: int = 5, unlabelled: int = 0) -> DayCounts:
    return DayCounts(FIRST, np.full(days, 100), np.full(days, frauds), np.full(days, unlabelled))


def midnight(day: int) -> datetime:
    return datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day)


def test_a_long_history_warms_up_37_days_and_is_tested_on_its_last_fifth() -> None:
    split = split_in_time(steady(200))
    assert (split.warm_up.since, split.train.since) == (midnight(0), midnight(37))
    assert (split.validation.since, split.gap.since) == (midnight(133), midnight(153))
    assert (split.test.since, split.test.until) == (midnight(160), midnight(200))


def test_a_short_history_warms_up_for_a_quarter() -> None:
    assert split_in_time(steady(60)).train.since == midnight(15)


def test_bounds_can_be_given() -> None:
    split = split_in_time(
        steady(200), since=date(2025, 2, 1), until=date(2025, 4, 11), validation_days=3, test_days=10
    )
    assert (split.train.since, split.train.until) == (midnight(31), midnight(80))
    assert (split.validation.until, split.test.since, split.test.until) == (
        midnight(83),
        midnight(90),
        midnight(100),
    )


def test_days_without_labels_before_and_after_are_in_no_part() -> None:
    counts = steady(200)
    counts.unlabelled[:50] = counts.unlabelled[150:] = 100
    counts.frauds[:50] = counts.frauds[150:] = 0
    split = split_in_time(counts)
    assert (split.train.since, split.validation.since) == (midnight(50), midnight(113))
    assert (split.test.since, split.test.until) == (midnight(130), midnight(150))
    counts.unlabelled[30:50] = 99
    assert split_in_time(counts).train.since == midnight(37), "one labelled row is enough; then windows warm up"


@given(
    days=st.integers(15, 500),
    test=st.integers(1, 60),
    validation=st.integers(1, 60),
    gap=st.integers(GAP_DAYS, 60),
)
def test_periods_follow_each_other_and_no_label_of_the_gap_is_used(
    days: int, test: int, validation: int, gap: int
) -> None:
    try:
        split = split_in_time(steady(days), test_days=test, validation_days=validation, gap_days=gap)
    except InvalidHistory:
        assert days - test - validation - gap <= days // 4
        return
    periods = list(split.periods().values())
    assert periods[0].since == midnight(0)
    assert periods[-1].until == midnight(days)
    assert all(one.until == next_.since for one, next_ in pairwise(periods))
    assert split.test.since - split.validation.until == timedelta(days=gap)
    assert split.train.until > split.train.since


def test_a_gap_that_is_shorter_than_the_label_delay_is_an_error() -> None:
    with pytest.raises(InvalidHistory, match="no shorter than the label delay, 7 days"):
        split_in_time(steady(200), gap_days=6)
    assert split_in_time(steady(200)) == split_in_time(steady(200), gap_days=7)


def test_a_history_that_is_too_short_says_what_is_missing() -> None:
    with pytest.raises(InvalidHistory, match=r"14 days of history are too few.*longer history"):
        split_in_time(steady(14), test_days=4)


def test_a_test_period_of_no_day_is_an_error() -> None:
    with pytest.raises(InvalidHistory, match="at least one day"):
        split_in_time(steady(100), test_days=0)


@pytest.mark.parametrize("part", ["training", "validation", "test"])
def test_a_part_without_frauds_is_named(part: str) -> None:
    counts = steady(100)
    split = split_in_time(counts)
    period = {"training": split.train, "validation": split.validation, "test": split.test}[part]
    counts.frauds[counts.index(period.since.date()) : counts.index(period.until.date())] = 0
    with pytest.raises(InvalidHistory, match=f"The {part} period .* too few frauds"):
        split_in_time(counts)


def test_a_part_of_nothing_but_fraud_is_an_error() -> None:
    with pytest.raises(InvalidHistory, match="too few legitimate payments"):
        split_in_time(steady(100, frauds=100))


def test_rows_without_a_label_are_counted_apart() -> None:
    counts = steady(100, frauds=10, unlabelled=30)
    assert count_part(counts, split_in_time(counts).test) == PartCounts(20 * 70, 200, 20 * 30)


def test_days_are_counted_from_the_files_and_empty_days_are_zero(tmp_path: Path) -> None:
    def rows(day: int, labels: list[int | None]) -> pa.Table:
        start_ms = int(midnight(day).timestamp() * 1000)
        columns = {
            "transaction_id": [f"{day}-{i}" for i in range(len(labels))],
            "event_time": pa.array([start_ms + i for i in range(len(labels))]).cast(pa.timestamp("ms", tz="UTC")),
            "customer_id": ["c"] * len(labels),
            "amount_minor": [100] * len(labels),
            "is_fraud": pa.array(labels, pa.int8()),
        }
        arrays = [columns.get(field.name, pa.nulls(len(labels), field.type)) for field in HISTORY_SCHEMA]
        return pa.table(arrays, schema=HISTORY_SCHEMA)

    with writing_history(tmp_path / "history", overwrite=False) as writer:
        writer.write_day(FIRST, rows(0, [0, 1, None, 1]))
        writer.write_day(date(2025, 1, 3), rows(2, [None, 0]))
    counts = count_days(tmp_path / "history")
    assert counts.first == FIRST
    assert counts.rows.tolist() == [4, 0, 2]
    assert counts.frauds.tolist() == [2, 0, 0]
    assert counts.unlabelled.tolist() == [1, 0, 1]
