"""Rows on disk: whatever range is asked for, in blocks, comes back as it was written."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions import LABEL_DELAY_MS
from features.history import HISTORY_SCHEMA
from training.bundle import Period
from training.feature_files import (
    EVENT_TIME,
    LABEL,
    FeatureTable,
    count_frauds,
    joined,
    known_by,
    write_features,
)

START = datetime(2025, 1, 1, tzinfo=UTC)
SIZES = (7, 0, 12, 1)


def rows(first: int, count: int) -> pa.Table:
    """Return rows numbered from ``first``, one a second."""
    number = np.arange(first, first + count)
    seconds = int(START.timestamp()) + number
    time = pa.array(seconds * 1000).cast(pa.timestamp("ms", tz="UTC"))
    return pa.table({EVENT_TIME: time, "number": number, "other": number * 2.0})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> FeatureTable:
    """20 rows in files of 7, 0, 12 and 1, whose record batches have 5."""
    folder = tmp_path_factory.mktemp("features")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("training.feature_files.BLOCK_ROWS", 5)
        starts = np.cumsum([0, *SIZES])
        parts = [write_features(folder / f"{i}.arrow", rows(int(starts[i]), size)) for i, size in enumerate(SIZES)]
    return joined(parts)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.feature_files.BLOCK_ROWS", 5)


def numbers(table: FeatureTable) -> list[int]:
    found: list[int] = [number for block in table.blocks(["number"]) for number in block.column(0).to_pylist()]
    return found


def test_all_rows_come_back_in_order_in_small_blocks(table: FeatureTable) -> None:
    assert (len(table), numbers(table)) == (20, list(range(20)))
    assert [len(block) for block in table.blocks()] == [5, 2, 5, 5, 2, 1]


def test_the_columns_that_are_asked_for_come_in_their_order(table: FeatureTable) -> None:
    (block, *_) = table.blocks(["other", "number"])
    assert block.column_names == ["other", "number"]
    assert block.column("other").to_pylist() == [0.0, 2.0, 4.0, 6.0, 8.0]


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_are_equal_and_consecutive_and_leave_out_the_rest(table: FeatureTable, shards: int) -> None:
    found = [numbers(table.shard(rank, shards)) for rank in range(shards)]
    assert {len(shard) for shard in found} == {20 // shards}
    assert [number for shard in found for number in shard] == list(range(20 // shards * shards))


def test_a_period_holds_its_first_moment_and_not_its_last(table: FeatureTable) -> None:
    period = Period(since=START + timedelta(seconds=3), until=START + timedelta(seconds=9))
    assert numbers(table.within(period)) == [3, 4, 5, 6, 7, 8]


DELAY = timedelta(milliseconds=LABEL_DELAY_MS)


@pytest.fixture
def labelled(tmp_path: Path) -> FeatureTable:
    """Every third of 12 rows is a fraud; of 0 and 6 it became known after the delay, of 3 late, of 9 never."""
    late = [{"known_at": int((START + 2 * DELAY).timestamp() * 1000), "is_fraud": 1}]
    labels = [late if i == 3 else [] if i == 9 else None for i in range(12)]
    table = rows(0, 12)
    table = table.append_column(LABEL, pa.array([int(i % 3 == 0) for i in range(12)], pa.int8()))
    known = HISTORY_SCHEMA.field("known_labels")
    return write_features(tmp_path / "labelled.arrow", table.append_column(known, pa.array(labels, known.type)))


def frauds(table: FeatureTable) -> list[int]:
    found = [block.to_pydict() for block in table.blocks(["number", LABEL])]
    return [n for block in found for n, fraud in zip(block["number"], block[LABEL], strict=True) if fraud]


def test_rows_that_nobody_knew_enough_of_are_left_out(labelled: FeatureTable, tmp_path: Path) -> None:
    assert frauds(labelled) == [0, 3, 6, 9]
    after_a_week = known_by(labelled, START + DELAY + timedelta(minutes=1), tmp_path / "week")
    assert (numbers(after_a_week), frauds(after_a_week)) == ([n for n in range(12) if n not in (3, 9)], [0, 6])
    later = known_by(labelled, START + 2 * DELAY, tmp_path / "later")
    assert (numbers(later), frauds(later)) == ([n for n in range(12) if n != 9], [0, 3, 6])
    assert count_frauds(later) == 3
    at_first = known_by(labelled, START, tmp_path / "first")
    assert numbers(at_first) == [n for n in range(12) if n % 3]
    assert frauds(labelled) == [0, 3, 6, 9]


def test_rows_that_were_known_as_they_are_now_are_not_written_again(
    labelled: FeatureTable, tmp_path: Path
) -> None:
    table = labelled.between(4, 9)
    assert known_by(table, START + DELAY + timedelta(minutes=1), tmp_path / "same") == table
    assert not (tmp_path / "same").exists()


def test_a_verdict_that_was_taken_back_later_was_a_fraud_until_then(tmp_path: Path) -> None:
    told = [(START + DELAY, 1), (START + 2 * DELAY, 0)]
    labels = [{"known_at": int(when.timestamp() * 1000), "is_fraud": fraud} for when, fraud in told]
    table = rows(0, 1).append_column(LABEL, pa.array([0], pa.int8()))
    known = HISTORY_SCHEMA.field("known_labels")
    written = write_features(tmp_path / "back.arrow", table.append_column(known, pa.array([labels], known.type)))
    found = [frauds(known_by(written, START + DELAY * weeks, tmp_path / f"{weeks}")) for weeks in (1, 2)]
    assert found == [[0], []]
    assert len(known_by(written, START, tmp_path / "before")) == 0


def test_a_period_without_rows_is_empty(table: FeatureTable) -> None:
    period = Period(since=START + timedelta(days=1), until=START + timedelta(days=2))
    assert len(table.within(period)) == 0


@given(st.sets(st.integers(0, 19)))
def test_chosen_rows_come_in_order(table: FeatureTable, chosen: set[int]) -> None:
    found = [
        number
        for block in table.chosen(np.array(sorted(chosen), np.int64), ["number"])
        for number in block.column("number").to_pylist()
    ]
    assert found == sorted(chosen)


def test_rows_out_of_order_are_written_in_order_of_event_time(tmp_path: Path) -> None:
    shuffled = rows(0, 9).take([4, 0, 8, 1, 2, 3, 7, 6, 5])
    assert numbers(write_features(tmp_path / "shuffled.arrow", shuffled)) == list(range(9))


def test_no_rows_leave_no_file(tmp_path: Path) -> None:
    assert len(write_features(tmp_path / "none.arrow", rows(0, 0))) == 0
    assert list(tmp_path.iterdir()) == []
