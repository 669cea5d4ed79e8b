"""What ingestion reads: CSV and Parquet as others write them, folders of files, and what cannot be read at all."""

import gzip
from datetime import datetime
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from features.errors import InvalidHistory
from tests.unit.training.ingested import GOOD, MAPPING, RANGE, rejected, row, run, write_csv
from training.history_files import read_days
from training.ingestion.mapping import load_mapping, parse_mapping


def test_malformed_lines_are_rejected_and_do_not_shift_row_numbers(tmp_path: Path) -> None:
    head = ",".join(GOOD)
    good = ",".join(GOOD.values())
    bad = ",".join(row(id="z", amount="0").values())
    lines = [head, good, "one,two", "", bad, good + ",more", "", ""]
    (tmp_path / "in.csv").write_text("\n".join(lines))
    report = run(tmp_path / "in.csv", tmp_path / "out")
    assert sorted(rejected(tmp_path / "out")) == [
        (2, "line", "one,two", "has 2 cells where the header has 11"),
        (3, "amount", "0", "must be greater than 0"),
        (4, "line", good + ",more", "has 12 cells where the header has 11"),
    ]
    assert (report.rows_in, report.rows_written) == (4, 1)


def test_csv_cells_may_hold_delimiters_and_line_breaks(tmp_path: Path) -> None:
    run(write_csv(tmp_path / "in.csv", [row(shop='a,"b"\nc'), row(id="007")]), tmp_path / "out")
    table = read_days(tmp_path / "out")
    assert table.column("merchant_id").to_pylist() == ['a,"b"\nc', "m1"]
    assert table.column("transaction_id").to_pylist() == ["t1", "007"]


def test_a_folder_of_csv_gzip_and_parquet_is_read_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "_old").mkdir(parents=True)
    write_csv(folder / "_old" / "skipped.csv", [row(id="skipped")])
    write_csv(folder / "a.csv", [row(id="a")])
    plain = write_csv(tmp_path / "b.csv", [row(id="b"), row(id="x", amount="0")])
    (folder / "b.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    pq.write_table(pa.Table.from_pylist([row(id="c", arrival=None)]), folder / "c.parquet")
    report = run(folder, tmp_path / "out")
    assert read_days(tmp_path / "out").column("transaction_id").to_pylist() == ["a", "b", "c"]
    assert (report.examples[0].file, report.examples[0].row) == ("b.csv.gz", 2)


def test_parquet_types_are_read_as_what_they_are(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int64()),
            "when": pa.array([datetime(2025, 3, 1, 10), datetime(2025, 3, 1, 11)], pa.timestamp("us")),
            "who": pa.array(["c1", "c2"]).dictionary_encode(),
            "shop": pa.array([7.0, None]),
            "device": pa.nulls(2),
            "amount": pa.array([1, 2], pa.decimal128(10, 2)),
            "currency": pa.array(["EUR", None], pa.large_string()),
            "lat": pa.array([1.5, float("nan")]),
            "long": pa.array([2.5, None], pa.float32()),
            "fraud": pa.array([True, None]),
            "arrival": pa.array([1, 2], pa.uint8()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    report = run(tmp_path / "in.parquet", tmp_path / "out")
    first, second = read_days(tmp_path / "out").to_pylist()
    assert (first["transaction_id"], first["merchant_id"], first["is_fraud"], first["lat"]) == ("1", "7", 1, 1.5)
    assert (second["merchant_id"], second["is_fraud"], second["lat"], second["arrival"]) == (None, None, None, 2)
    assert (first["amount_minor"], report.unlabelled) == (100, 1)


def test_an_empty_text_in_parquet_is_no_id(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([row(shop="", arrival=None)]), tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out")
    assert rejected(tmp_path / "out") == [(1, "merchant_id", "", RANGE)]


def test_columns_that_may_be_absent_are_reported(tmp_path: Path) -> None:
    columns = {"transaction_id": ["t"], "event_time": ["2025-01-01"], "customer_id": ["c"], "amount_minor": [5]}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    report = run(tmp_path / "in.parquet", tmp_path / "out", load_mapping("tollgate"))
    assert report.rows_written == 1
    assert report.absent_columns[:2] == ("merchant_id", "device_id")
    assert len(report.absent_columns) == 12


def test_a_source_without_rows_is_a_history_without_days(tmp_path: Path) -> None:
    report = run(write_csv(tmp_path / "in.csv", []), tmp_path / "out")
    assert (report.rows_in, report.rows_written, report.days, report.first_day) == (0, 0, 0, None)


def test_sources_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    def refused(source: Path, message: str) -> None:
        with pytest.raises(InvalidHistory, match=message) as caught:
            run(source, tmp_path / "out")
        assert str(source) in str(caught.value)
        assert not (tmp_path / "out").exists()

    refused(tmp_path / "missing.csv", "does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no")
    (tmp_path / "in.xlsx").write_text("")
    refused(tmp_path / "in.xlsx", "is neither")
    (tmp_path / "in.parquet").write_text("not parquet")
    refused(tmp_path / "in.parquet", "cannot be read")
    (tmp_path / "blank.csv").write_text("")
    refused(tmp_path / "blank.csv", "cannot be read")
    write_csv(tmp_path / "latin.csv", [])
    with (tmp_path / "latin.csv").open("ab") as file:
        file.write(",".join(GOOD.values()).replace("m1", "café").encode("latin1"))
    refused(tmp_path / "latin.csv", r"set csv\.encoding")
    (tmp_path / "lacks.csv").write_text("id,when,who\n1,2,3\n")
    refused(tmp_path / "lacks.csv", "lacks the column shop of the mapping; it has id, when, who")
    (tmp_path / "twice.csv").write_text(",".join([*GOOD, "id"]) + "\n")
    refused(tmp_path / "twice.csv", "has the column id more than once")
    pq.write_table(pa.Table.from_pylist([row(when=5)]), tmp_path / "types.parquet")
    with pytest.raises(InvalidHistory, match=r"column when is int64: set timestamp\.unit"):
        run(tmp_path / "types.parquet", tmp_path / "out")


def test_an_encoding_and_a_delimiter_can_be_set(tmp_path: Path) -> None:
    text = ";".join(GOOD) + "\n" + ";".join(GOOD.values()).replace("m1", "café")
    (tmp_path / "in.csv").write_bytes(text.encode("latin1"))
    mapping = MAPPING.model_copy(
        update={
            "csv": parse_mapping(
                "columns: {event_time: t, customer_id: c, amount: a}\ncsv: {delimiter: ';', encoding: latin1}",
                "csv",
            ).csv
        }
    )
    run(tmp_path / "in.csv", tmp_path / "out", mapping)
    assert read_days(tmp_path / "out").column("merchant_id").to_pylist() == ["café"]
