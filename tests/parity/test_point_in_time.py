"""The distributed matrix equals the one of a single process, row for row and bit for bit."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pytest

from features.definitions import FEATURE_NAMES
from features.errors import InvalidHistory, OutOfSpace
from features.history import HISTORY_SCHEMA
from features.offline import offline_matrix
from tests.parity.histories import MONDAY, history_table
from tests.parity.oracle import DAY, Event
from training.feature_files import FeatureTable
from training.history_files import split_by_day, writing_history
from training.partition_files import write_partitions
from training.point_in_time import ID_COLUMNS, _run, point_in_time
from training.scratch import scratch_folder

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

START = datetime.fromtimestamp(MONDAY / 1000, UTC)


def events(rows: int = 3000) -> list[Event]:
    """Return 50 days of a busy world, sorted by time: ties, absent merchants, devices and places, labels."""
    rng = np.random.default_rng(7)
    times = np.sort(MONDAY + rng.integers(0, 50 * DAY, rows) // 60_000 * 60_000)
    times[rows // 10 : rows // 10 + 60] = times[rows // 10]
    return [
        Event(
            id=f"t{i}",
            time=int(times[i]),
            amount=int(rng.integers(1, 1_000_000)),
            customer=f"c{rng.integers(20)}",
            merchant=None if rng.random() < 0.2 else f"m{rng.integers(15)}",
            device=None if rng.random() < 0.5 else f"d{rng.integers(30)}",
            place=None
            if rng.random() < 0.5
            else (int(rng.integers(-90, 90)) * 10**6, int(rng.integers(-180, 180)) * 10**6),
            fraud=bool(rng.random() < 0.1),
            labels=labels(rng, int(times[i])),
        )
        for i in range(rows)
    ]


def labels(rng: np.random.Generator, time: int) -> tuple[tuple[int, bool], ...] | None:
    """Return no record of labels for every second transaction, and up to two labels for the others."""
    if rng.random() < 0.5:
        return None
    known = np.sort(time + rng.integers(0, 30 * DAY, rng.integers(3)))
    return tuple((int(when), bool(rng.random() < 0.5)) for when in known)


@pytest.fixture(scope="module")
def prompt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pa.Table]:
    """A history in order of event time, and its folder."""
    table = history_table(events())
    return written(table, tmp_path_factory.mktemp("prompt")), table


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pa.Table]:
    """A history some of whose rows arrived up to three days late."""
    rng = np.random.default_rng(8)
    rows = events()
    delay = np.where(rng.random(len(rows)) < 0.3, rng.integers(0, 3 * DAY, len(rows)), 0)
    arrival = np.argsort(np.argsort([e.time for e in rows] + delay, kind="stable"))
    table = history_table(rows, arrival.tolist())
    return written(table, tmp_path_factory.mktemp("late")), table


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_history_in_order_of_event_time(prompt: tuple[Path, pa.Table], tmp_path: Path, partitions: int) -> None:
    folder, table = prompt
    assert_same(point_in_time(folder, tmp_path, partitions=partitions), table, np.ones(len(table), bool))


def test_a_history_with_late_arrivals(late: tuple[Path, pa.Table], tmp_path: Path) -> None:
    folder, table = late
    assert_same(point_in_time(folder, tmp_path, partitions=3), table, np.ones(len(table), bool))


@pytest.mark.parametrize("name", ["prompt", "late"])
def test_a_window_of_interest_sees_all_earlier_history(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder, table = request.getfixturevalue(name)
    since, until = START + timedelta(days=44, hours=6), START + timedelta(days=47, minutes=1)
    time = table.column("event_time").to_numpy()
    chosen = (time >= np.datetime64(since.replace(tzinfo=None))) & (
        time < np.datetime64(until.replace(tzinfo=None))
    )
    assert_same(point_in_time(folder, tmp_path, since=since, until=until, partitions=2), table, chosen)


def test_an_entity_stays_whole_however_few_rows_a_task_reads(
    prompt: tuple[Path, pa.Table], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.point_in_time._ROWS_PER_READ", 200)
    folder, table = prompt
    assert_same(point_in_time(folder, tmp_path, partitions=2), table, np.ones(len(table), bool))


def test_more_partitions_than_entities_leave_some_empty(prompt: tuple[Path, pa.Table], tmp_path: Path) -> None:
    folder, table = prompt
    assert_same(point_in_time(folder, tmp_path, partitions=40), table, np.ones(len(table), bool))


def test_the_rows_come_in_the_same_order_and_nothing_else_stays_in_the_folder(
    prompt: tuple[Path, pa.Table], tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = (point_in_time(prompt[0], tmp_path / name, partitions=3) for name in ("first", "second"))
    assert first.column("transaction_id").equals(second.column("transaction_id"))
    files = {path.relative_to(tmp_path / "first").as_posix() for path in (tmp_path / "first").rglob("*.arrow")}
    assert files == {f"features/{number}.arrow" for number in range(3)}


def test_arrival_numbers_in_some_rows_alone_are_refused(tmp_path: Path) -> None:
    table = history_table(events(10), range(10))
    gap = pa.array([None, *range(1, 10)], pa.int64())
    folder = written(table.set_column(HISTORY_SCHEMA.get_field_index("arrival"), "arrival", gap), tmp_path)
    with pytest.raises(InvalidHistory, match=r"arrival: null in 1 of 10 rows"):
        point_in_time(folder, tmp_path)


def test_a_window_without_transactions_is_refused(prompt: tuple[Path, pa.Table], tmp_path: Path) -> None:
    with pytest.raises(InvalidHistory, match="no transactions"):
        point_in_time(prompt[0], tmp_path, since=START + timedelta(days=400))


def test_a_disk_that_becomes_full_in_a_task_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(OutOfSpace, match="No space left"), scratch_folder(tmp_path) as folder:
        _run(folder, write_to_a_full_disk, [(), ()])
    assert not folder.exists()


def write_to_a_full_disk() -> None:
    """Fail as a task does whose disk is full, through the same writer."""
    write_partitions(Path("/dev/full"), pa.table({"n": np.arange(100_000)}), np.zeros(100_000, np.int16), 1)


def written(table: pa.Table, folder: Path) -> Path:
    with writing_history(folder / "history", overwrite=False) as writer:
        for day, rows in split_by_day(table):
            writer.write_day(day, rows)
    return folder / "history"


def assert_same(matrix: FeatureTable, table: pa.Table, chosen: np.ndarray) -> None:
    found = pa.concat_tables(matrix.blocks()).sort_by("transaction_id")
    order = np.argsort(table.column("transaction_id").to_numpy(zero_copy_only=False))
    expected = table.take(order[chosen[order]])
    assert found.column_names == [*ID_COLUMNS, *FEATURE_NAMES]
    for name in ID_COLUMNS:
        assert found.column(name).to_pylist() == expected.column(name).to_pylist()
    values = np.column_stack([found.column(name).to_numpy() for name in FEATURE_NAMES])
    np.testing.assert_array_equal(values, offline_matrix(table)[order[chosen[order]]])
