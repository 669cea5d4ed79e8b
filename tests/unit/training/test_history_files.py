from datetime import date
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from features.definitions import DAY_MS
from features.errors import InvalidHistory
from features.history import HISTORY_SCHEMA
from training.history_files import HistoryWriter, day_of, read_days, read_history, split_by_day, writing_history

FIRST, SECOND = date(2025, 1, 1), date(2025, 1, 2)


def rows(day: date, n: int, first_id: int = 0) -> pa.Table:
    start_ms = (day - date(1970, 1, 1)).days * DAY_MS
    columns = {
        "transaction_id": [str(first_id + i) for i in range(n)],
        "event_time": pa.array([start_ms + 1000 * i for i in range(n)]).cast(pa.timestamp("ms", tz="UTC")),
        "customer_id": ["c"] * n,
        "amount_minor": [100] * n,
    }
    arrays = [columns.get(field.name, pa.nulls(n, field.type)) for field in HISTORY_SCHEMA]
    return pa.table(arrays, schema=HISTORY_SCHEMA)


def write_two_days(out: Path, *, overwrite: bool = False) -> HistoryWriter:
    with writing_history(out, overwrite=overwrite) as writer:
        writer.write_day(FIRST, rows(FIRST, 3))
        writer.write_day(SECOND, rows(SECOND, 2, first_id=3))
    return writer


def test_a_history_comes_back_as_it_was_written(tmp_path: Path) -> None:
    writer = write_two_days(tmp_path / "h")
    table = read_days(tmp_path / "h")
    assert table.schema.equals(HISTORY_SCHEMA)
    assert table.column("transaction_id").to_pylist() == list("01234")
    assert (writer.rows, writer.days) == (5, [FIRST, SECOND])
    assert writer.bytes_written == sum(f.stat().st_size for f in (tmp_path / "h").rglob("*.parquet"))


def test_days_are_chosen_with_both_ends_included(tmp_path: Path) -> None:
    write_two_days(tmp_path / "h")
    assert read_days(tmp_path / "h", last=FIRST).num_rows == 3
    assert read_days(tmp_path / "h", first=SECOND).num_rows == 2
    assert read_days(tmp_path / "h", FIRST, SECOND).num_rows == 5
    assert read_days(tmp_path / "h", date(2025, 2, 1)).num_rows == 0


def test_the_dataset_knows_the_day_and_skips_what_has_an_underscore(tmp_path: Path) -> None:
    write_two_days(tmp_path / "h")
    (tmp_path / "h" / "_rejected").mkdir()
    pq.write_table(pa.table({"row": [1]}), tmp_path / "h" / "_rejected" / "part-0.parquet")
    dataset = read_history(tmp_path / "h")
    assert dataset.schema.names == [*HISTORY_SCHEMA.names, "day"]
    assert dataset.to_table(columns=["day"]).column("day").unique().to_pylist() == ["2025-01-01", "2025-01-02"]
    assert dataset.count_rows() == 5


def test_a_day_without_rows_leaves_no_file(tmp_path: Path) -> None:
    with writing_history(tmp_path / "h", overwrite=False) as writer:
        writer.write_day(FIRST, rows(FIRST, 0))
    assert not list((tmp_path / "h").rglob("*"))


def test_a_folder_that_is_not_empty_is_refused_unless_overwritten(tmp_path: Path) -> None:
    write_two_days(tmp_path)
    with pytest.raises(InvalidHistory, match="not empty"):
        write_two_days(tmp_path)
    with writing_history(tmp_path, overwrite=True) as writer:
        writer.write_day(SECOND, rows(SECOND, 1))
    assert [folder.name for folder in tmp_path.iterdir()] == ["day=2025-01-02"]


def test_a_folder_with_other_files_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InvalidHistory, match=r"thesis\.txt"):
        write_two_days(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_days_of_something_else_are_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "day=2025-01-01" / "from-1-0.parquet"
    file.parent.mkdir()
    pq.write_table(pa.table({"transaction_id": ["decided"]}), file)
    with pytest.raises(InvalidHistory, match=r"from-1-0\.parquet"):
        write_two_days(tmp_path, overwrite=True)
    assert pq.read_table(file, partitioning=None).num_rows == 1


def test_a_file_is_no_place_for_a_history(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("")
    with pytest.raises(InvalidHistory, match="is a file"):
        write_two_days(tmp_path / "h")


def fail_midway(out: Path) -> None:
    with writing_history(out, overwrite=True) as writer:
        writer.write_day(FIRST, rows(FIRST, 1))
        raise KeyError("midway")


def test_a_failed_run_leaves_the_old_history_as_it_was(tmp_path: Path) -> None:
    write_two_days(tmp_path)
    before = read_days(tmp_path)
    with pytest.raises(KeyError):
        fail_midway(tmp_path)
    assert read_days(tmp_path).equals(before)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["day=2025-01-01", "day=2025-01-02"]


def test_a_failed_first_run_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        fail_midway(tmp_path / "h")
    assert not (tmp_path / "h").exists()


def test_a_column_that_an_earlier_release_did_not_write_is_null(tmp_path: Path) -> None:
    write_two_days(tmp_path)
    file = tmp_path / "day=2025-01-02" / "part-0.parquet"
    pq.write_table(pq.read_table(file, partitioning=None).drop_columns("known_labels"), file)
    table = read_days(tmp_path)
    assert table.schema.equals(HISTORY_SCHEMA)
    assert table.column("known_labels").null_count == len(table) > 0


def test_what_is_no_history_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidHistory, match="is not a folder"):
        read_history(tmp_path / "missing")
    with pytest.raises(InvalidHistory, match="ingest or simulate"):
        read_history(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows(FIRST, 1).drop_columns("amount_minor"), "lacks the column amount_minor"),
        (
            rows(FIRST, 1).set_column(5, "amount_minor", pa.array([1.5])),
            "column amount_minor is double, not int64",
        ),
        (rows(FIRST, 1).set_column(2, "customer_id", pa.array(["c"])), "column customer_id may hold nulls"),
    ],
)
def test_a_foreign_schema_is_refused_by_the_name_of_the_column(
    tmp_path: Path, table: pa.Table, message: str
) -> None:
    write_two_days(tmp_path)
    file = tmp_path / "day=2025-01-02" / "part-0.parquet"
    pq.write_table(table, file)
    with pytest.raises(InvalidHistory, match=message) as caught:
        read_history(tmp_path)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_parquet_is_refused_by_name(tmp_path: Path) -> None:
    write_two_days(tmp_path)
    (tmp_path / "day=2025-01-02" / "part-0.parquet").write_text("not parquet")
    with pytest.raises(InvalidHistory, match=r"day=2025-01-02/part-0\.parquet cannot be read"):
        read_history(tmp_path)


def test_columns_that_the_schema_does_not_know_are_left_out(tmp_path: Path) -> None:
    write_two_days(tmp_path)
    more = rows(SECOND, 2).append_column("mood", pa.array(["good", "bad"]))
    pq.write_table(more, tmp_path / "day=2025-01-02" / "part-0.parquet")
    assert read_days(tmp_path).schema.equals(HISTORY_SCHEMA)


def test_a_sorted_table_splits_at_midnight_utc() -> None:
    table = pa.concat_tables([rows(FIRST, 3), rows(SECOND, 2)])
    assert [(day, len(part)) for day, part in split_by_day(table)] == [(FIRST, 3), (SECOND, 2)]


def test_days_count_from_the_epoch() -> None:
    assert day_of(20_089) == date(2025, 1, 1)
