"""What ingestion reads: CSV and Parquet as others write them, folders of files, and what cannot be read at all."""

import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidHistory
from tests.unit.training.ingested import GOOD, MAPPING, RANGE, rejected, row, run, write_csv
from training.history_files import read_days
from training.ingestion.mapping import CsvFormat, load_mapping, parse_mapping
from training.ingestion.sources import rows_of_file


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


SPANNING = MAPPING.model_copy(update={"csv": CsvFormat(line_ends_in_cells=True)})
UNCLOSED = "holds a quoted cell that does not end on it; csv.line_ends_in_cells of the mapping allows that"


def line(**changes: str) -> str:
    return ",".join(row(**changes).values())


def write_lines(path: Path, *lines: str, encoding: str = "utf8") -> Path:
    path.write_bytes("\n".join([",".join(GOOD), *lines]).encode(encoding, "surrogateescape"))
    return path


def test_csv_cells_may_hold_delimiters_and_quotes_and_line_breaks_where_the_mapping_says_so(
    tmp_path: Path,
) -> None:
    file = write_csv(tmp_path / "in.csv", [row(shop='a,"b"\nc'), row(id="007")])
    run(file, tmp_path / "out", SPANNING)
    table = read_days(tmp_path / "out")
    assert table.column("merchant_id").to_pylist() == ['a,"b"\nc', "m1"]
    assert table.column("transaction_id").to_pylist() == ["t1", "007"]
    report = run(file, tmp_path / "strict")
    assert (report.rows_in, report.rows_written) == (3, 1)
    assert rejected(tmp_path / "strict") == [
        (1, "line", 't1,2025-03-01T10:00:00,c1,"a,""b""', UNCLOSED),
        (2, "line", 'c",d1,25.50,EUR,41.5,2.1,0,', "has 8 cells where the header has 11"),
    ]


def test_a_quote_that_is_never_closed_costs_its_own_line_alone(tmp_path: Path) -> None:
    stray = [line(id="2", shop='"5 inch'), line(id="3", arrival='"5 inch pipe'), line(id="4", shop='5" pipe, 6"')]
    fine = [line(id=f"t{at}", shop=shop) for at, shop in enumerate(['5" pipe', '"a, b"', '"""x"""', '""', '"q"z'])]
    file = write_lines(tmp_path / "in.csv", stray[0], fine[0], stray[1], *fine[1:], stray[2], line(id="last"))
    report = run(file, tmp_path / "out")
    assert (report.rows_in, report.rows_written + report.rows_rejected) == (9, 9)
    assert read_days(tmp_path / "out").column("transaction_id").to_pylist() == [
        "t0",
        "t1",
        "t2",
        "t3",
        "t4",
        "last",
    ]
    assert [(row, reason) for row, _, _, reason in rejected(tmp_path / "out")] == [
        (1, UNCLOSED),
        (3, UNCLOSED),
        (8, "has 12 cells where the header has 11"),
    ]


def test_where_cells_may_span_lines_one_that_is_open_at_the_end_is_refused(tmp_path: Path) -> None:
    lines = [line(id="1"), line(id="2", arrival='"5 inch'), *(line(id=str(at)) for at in range(3, 9))]
    with pytest.raises(InvalidHistory, match="row 2 has a quoted cell that does not end"):
        run(write_lines(tmp_path / "in.csv", *lines), tmp_path / "out", SPANNING)
    assert not (tmp_path / "out").exists()


def test_bytes_that_are_not_of_the_encoding_cost_their_own_line_alone(tmp_path: Path) -> None:
    bad = line(id="bad", shop="caf\udce9")
    lines = [line(id="1", shop="café"), bad, line(id="2", shop='"open'), bad, line(id="3")]
    report = run(write_lines(tmp_path / "in.csv", *lines), tmp_path / "out")
    assert report.rows_in == 5
    assert read_days(tmp_path / "out").column("merchant_id").to_pylist() == ["café", "m1"]
    reason = "holds bytes that are not utf8; csv.encoding of the mapping says what it is"
    shown = line(id="bad", shop="caf\\xe9")
    assert rejected(tmp_path / "out") == [
        (2, "line", shown, reason),
        (3, "line", lines[2], UNCLOSED),
        (4, "line", shown, reason),
    ]
    with pytest.raises(InvalidHistory, match=r"set csv\.encoding"):
        run(tmp_path / "in.csv", tmp_path / "spanning", SPANNING)


@pytest.mark.parametrize("kind", ["boolean", "Float64", "Int8"])
def test_labels_mean_the_same_in_csv_and_in_parquet_as_pandas_writes_them(tmp_path: Path, kind: Any) -> None:
    frame = pd.DataFrame([row(id=str(at), arrival=None) for at in range(3)])
    frame["fraud"] = pd.array([1, 0, None], dtype=kind)
    frame.to_csv(tmp_path / "in.csv", index=False)
    frame.to_parquet(tmp_path / "in.parquet")
    for name in ("in.csv", "in.parquet"):
        run(tmp_path / name, tmp_path / f"{name}.out")
        assert read_days(tmp_path / f"{name}.out").column("is_fraud").to_pylist() == [1, 0, None]


def test_a_malformed_line_is_kept_as_a_whole(tmp_path: Path) -> None:
    text = "x" * 300 + ",one more"
    run(write_lines(tmp_path / "in.csv", line(), text), tmp_path / "out")
    found = pq.read_table(tmp_path / "out" / "_rejected" / "part-0.parquet").to_pylist()
    assert [(one["line"], one["original"], len(one["value"])) for one in found] == [(text, None, 200)]


def test_a_line_longer_than_a_block_is_refused_and_memory_stays_bounded(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.csv", line(), "x" * (17 << 20), line())
    with pytest.raises(InvalidHistory, match=r"in\.csv cannot be read: a line is longer than 8 MiB"):
        run(file, tmp_path / "out")


def test_a_file_of_another_kind_is_not_set_aside_line_by_line_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.ingestion.csv_files.MAX_MALFORMED", 50)
    bad = [line(id=str(at), shop="caf\udce9") for at in range(60)]
    write_lines(tmp_path / "some.csv", *bad[:25], line(id="good"), *bad[25:50])
    assert run(tmp_path / "some.csv", tmp_path / "out").rows_rejected == 50
    write_lines(tmp_path / "all.csv", *bad, line(id="good"))
    with pytest.raises(InvalidHistory, match=r"all\.csv cannot be read: more than 50 lines on end .* holds bytes"):
        run(tmp_path / "all.csv", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_header_without_a_line_end_is_a_file_without_rows(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_lines(tmp_path / "in" / "a.csv", line())
    (tmp_path / "in" / "b.csv").write_text(",".join(GOOD))
    report = run(tmp_path / "in", tmp_path / "out")
    assert (report.rows_in, report.rows_written) == (1, 1)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_may_end_as_on_any_system_and_in_any_encoding(tmp_path: Path, end: str) -> None:
    lines = [",".join(GOOD), line(id="1"), line(id="2", shop='"open'), "", line(id="3", shop='"é,"'), ""]
    (tmp_path / "in.csv").write_bytes(end.join(lines).encode("utf-16"))
    mapping = MAPPING.model_copy(update={"csv": CsvFormat(encoding="utf-16")})
    report = run(tmp_path / "in.csv", tmp_path / "out", mapping)
    assert [row for row, *_ in rejected(tmp_path / "out")] == [2]
    assert read_days(tmp_path / "out").column("merchant_id").to_pylist() == ["m1", "é,"]
    assert report.rows_in == 3


@settings(max_examples=300)
@given(st.lists(st.text(alphabet='",ab', max_size=9), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_every_line_is_a_row_or_malformed(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str
) -> None:
    file = tmp_path_factory.mktemp("csv") / "in.csv"
    file.write_bytes(end.join(["x,y,z", *lines, ""]).encode())
    number = 0
    for rows, cells, malformed in rows_of_file(file, ["x", "y", "z"]):
        place = dict(
            zip(rows.tolist(), zip(*(cells[name].to_pylist() for name in "xyz"), strict=True), strict=True)
        )
        place |= {one.row: one.text for one in malformed}
        for at in sorted(place):
            number += 1
            assert at == number
            text = [line for line in lines if line][number - 1]
            if isinstance(place[at], str):
                assert place[at] == text
            elif '"' not in text:
                assert [cell or "" for cell in place[at]] == text.split(",")
    assert number == sum(line != "" for line in lines)


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
    (tmp_path / "latin.csv").write_bytes(",".join(["café", *GOOD]).encode("latin1"))
    refused(tmp_path / "latin.csv", r"its header is not utf8; set csv\.encoding")
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
