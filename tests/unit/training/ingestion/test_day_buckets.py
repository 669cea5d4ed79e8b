from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from features.definitions import DAY_MS
from training.ingestion.day_buckets import DayBuckets
from training.ingestion.duplicates import SeenIds, find_duplicates


def rows(ids: list[str], days: list[int], first_position: int = 0) -> pa.Table:
    times = pa.array([day * DAY_MS for day in days]).cast(pa.timestamp("ms", tz="UTC"))
    position = np.arange(first_position, first_position + len(ids))
    return pa.table({"transaction_id": ids, "event_time": times, "position": position})


@pytest.mark.parametrize("buffered_rows", [1, 3, 100])
def test_rows_come_back_by_day_in_the_order_they_were_added(tmp_path: Path, buffered_rows: int) -> None:
    buckets = DayBuckets(tmp_path, buffered_rows)
    buckets.add(rows(["a", "b", "c"], [5, 3, 5]))
    buckets.add(rows(["d", "e"], [3, 4]))
    buckets.flush()
    assert buckets.days() == [3, 4, 5]
    ids = [buckets.read(day).column("transaction_id").to_pylist() for day in buckets.days()]
    assert ids == [["b", "d"], ["e"], ["a", "c"]]


def test_nothing_added_is_no_day(tmp_path: Path) -> None:
    buckets = DayBuckets(tmp_path)
    buckets.flush()
    assert buckets.days() == []
    assert find_duplicates(SeenIds(), buckets).tolist() == []


def duplicates_of(ids: list[str], days: list[int], folder: Path) -> list[int]:
    buckets, seen = DayBuckets(folder), SeenIds()
    table = rows(ids, days)
    buckets.add(table)
    buckets.flush()
    seen.add(table.column("transaction_id"), np.arange(len(ids)))
    return [int(position) for position in find_duplicates(seen, buckets)]


def test_later_rows_with_an_id_are_duplicates_even_on_an_earlier_day(tmp_path: Path) -> None:
    assert duplicates_of(["a", "b", "a", "c", "a"], [5, 5, 1, 2, 9], tmp_path) == [2, 4]


def test_equal_hashes_of_different_ids_are_no_duplicates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pandas.util.hash_array", lambda texts, **_: np.zeros(len(texts), np.uint64))
    assert duplicates_of(["a", "b", "a"], [1, 1, 1], tmp_path) == [2]
