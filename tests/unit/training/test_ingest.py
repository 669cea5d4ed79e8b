"""Ingestion loses no row: each is written, or set aside with its row number, its value and the reason."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import InvalidHistory, InvalidTransaction
from features.history import HISTORY_SCHEMA
from features.transaction import Transaction, check_transaction
from tests.unit.training.ingested import MAPPING, NOW, RANGE, rejected, row, run, write_csv
from training.history_files import read_days
from training.ingestion.mapping import load_mapping, parse_mapping
from training.ingestion.rejections import DUPLICATE
from training.simulate import simulate


def test_a_good_row_becomes_what_it_says(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", [row(fraud="1", arrival="7")])
    report = run(source, tmp_path / "out")
    table = read_days(tmp_path / "out")
    assert table.schema.equals(HISTORY_SCHEMA)
    assert table.to_pylist() == [
        {
            "transaction_id": "t1",
            "event_time": datetime(2025, 3, 1, 10, tzinfo=UTC),
            "customer_id": "c1",
            "merchant_id": "m1",
            "device_id": "d1",
            "amount_minor": 2550,
            "currency": "EUR",
            "merchant_category": None,
            "transaction_type": None,
            "geo_location": None,
            "lat": 41.5,
            "long": 2.1,
            "is_fraud": 1,
            "fraud_pattern": None,
            "arrival": 7,
            "known_labels": None,
        }
    ]
    assert (report.rows_in, report.rows_written, report.rows_rejected, report.frauds) == (1, 1, 0, 1)
    assert not report.rejected_file.exists()


def test_a_label_with_its_time_of_knowing_is_recorded_and_a_bad_one_rejected(tmp_path: Path) -> None:
    mapping = parse_mapping(
        "columns: {transaction_id: id, event_time: when, customer_id: who, amount: amount, is_fraud: fraud,"
        " label_known_at: known}",
        "labels",
    )
    labels = {
        "fraud": ("1", "2025-03-20T09:30:00Z"),
        "legit": ("0", "2025-03-20T09:30:00Z"),
        "when is not recorded": ("1", ""),
        "no label": ("", ""),
        "no time": ("1", "soon"),
        "absurd": ("1", "1999-12-31T00:00:00"),
        "nothing known": ("", "2025-03-20T00:00:00"),
    }
    lines = [f"{name},2025-03-01T10:00:00,c1,25.50,{fraud},{known}" for name, (fraud, known) in labels.items()]
    (tmp_path / "in.csv").write_text("\n".join(["id,when,who,amount,fraud,known", *lines]))
    run(tmp_path / "in.csv", tmp_path / "out", mapping)
    table = read_days(tmp_path / "out")
    moment = datetime(2025, 3, 20, 9, 30, tzinfo=UTC)
    assert dict(zip(table["transaction_id"].to_pylist(), table["known_labels"].to_pylist(), strict=True)) == {
        "fraud": [{"known_at": moment, "is_fraud": 1}],
        "legit": [{"known_at": moment, "is_fraud": 0}],
        "when is not recorded": None,
        "no label": None,
    }
    assert [(number, field, reason) for number, field, _, reason in rejected(tmp_path / "out")] == [
        (5, "label_known_at", "is not a time as the mapping describes it"),
        (6, "label_known_at", "must lie between 2000-01-01 and a day from now"),
        (7, "label_known_at", "is given without a label"),
    ]


def test_a_time_of_knowing_needs_a_label() -> None:
    with pytest.raises(InvalidHistory, match="label_known_at needs is_fraud"):
        parse_mapping("columns: {event_time: a, customer_id: b, amount: c, label_known_at: d}", "labels")


LONG = "x" * 65


DATES = "must lie between 2000-01-01 and a day from now"


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"id": ""}, "transaction_id", "is missing"),
        ({"id": LONG}, "transaction_id", RANGE),
        ({"who": ""}, "customer_id", "is missing"),
        ({"who": LONG}, "customer_id", RANGE),
        ({"shop": LONG}, "merchant_id", RANGE),
        ({"device": LONG}, "device_id", RANGE),
        ({"currency": "EURO"}, "currency", "must be a code of three letters (ISO 4217)"),
        ({"when": ""}, "event_time", "is missing"),
        ({"when": "soon"}, "event_time", "is not a time as the mapping describes it"),
        ({"when": "1999-12-31T23:59:59.999Z"}, "event_time", DATES),
        ({"when": "2026-01-02T00:00:01Z"}, "event_time", DATES),
        ({"amount": ""}, "amount", "is missing"),
        ({"amount": "ten"}, "amount", "is not a finite number"),
        ({"amount": "1e999"}, "amount", "is not a finite number"),
        ({"amount": "0"}, "amount", "must be greater than 0"),
        ({"amount": "-3"}, "amount", "must be greater than 0"),
        ({"amount": "0.004"}, "amount", "must be at least 0.01 when rounded to two decimals"),
        ({"amount": "1000000000.01"}, "amount", "must be at most 1,000,000,000"),
        ({"lat": ""}, "lat", "is required with long"),
        ({"long": ""}, "long", "is required with lat"),
        ({"lat": "90.1"}, "lat", "must lie between -90 and 90 degrees"),
        ({"long": "-180.1"}, "long", "must lie between -180 and 180 degrees"),
        ({"lat": "north"}, "lat", "is not a finite number"),
        ({"fraud": "maybe"}, "is_fraud", "is none of the labels of the mapping"),
        ({"arrival": "1.5"}, "arrival", "must be a whole number"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_number_value_and_reason(
    tmp_path: Path, changes: dict[str, str], field: str, reason: str
) -> None:
    source = write_csv(tmp_path / "in.csv", [row(id="a"), row(**changes), row(id="b")])
    report = run(source, tmp_path / "out")
    value = row(**changes)[MAPPING.columns[field]] or None  # type: ignore[index]
    assert rejected(tmp_path / "out") == [(2, field, value, reason)]
    assert report.reasons == {(field, reason): 1}
    assert (report.examples[0].row, report.examples[0].field) == (2, field)
    assert read_days(tmp_path / "out").column("transaction_id").to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "0.01"},
        {"amount": "1000000000"},
        {"when": "2000-01-01T00:00:00Z"},
        {"when": "2026-01-02T00:00:00Z"},
        {"who": "x" * 64},
        {"who": "é" * 64},
        {"shop": "", "device": "", "currency": "", "lat": "", "long": "", "fraud": ""},
        {"lat": "-90", "long": "180"},
    ],
)
def test_what_is_just_within_the_contract_is_written(tmp_path: Path, changes: dict[str, str]) -> None:
    report = run(write_csv(tmp_path / "in.csv", [row(**changes)]), tmp_path / "out")
    assert (report.rows_written, report.rows_rejected) == (1, 0)


def test_the_rejected_row_is_kept_as_it_was(tmp_path: Path) -> None:
    bad = row(amount="-3", arrival="9")
    run(write_csv(tmp_path / "in.csv", [bad]), tmp_path / "out")
    (kept,) = pq.read_table(tmp_path / "out" / "_rejected").to_pylist()
    assert kept["file"] == "in.csv"
    assert kept["original"] == bad


def test_the_first_row_of_a_transaction_id_is_kept(tmp_path: Path) -> None:
    rows = [
        row(id="a", amount="0"),
        row(id="a", amount="1", when="2025-03-02"),
        row(id="b"),
        row(id="a", amount="2", when="2025-03-01"),
        row(id="a", amount="3", when="2025-03-02"),
    ]
    report = run(write_csv(tmp_path / "in.csv", rows), tmp_path / "out")
    assert rejected(tmp_path / "out")[1:] == [
        (4, "transaction_id", "a", DUPLICATE),
        (5, "transaction_id", "a", DUPLICATE),
    ]
    kept = read_days(tmp_path / "out").to_pylist()
    assert [(r["transaction_id"], r["amount_minor"]) for r in kept] == [("b", 2550), ("a", 100)]
    assert (report.rows_in, report.rows_written, report.rows_rejected) == (5, 2, 3)


def test_rows_are_sorted_by_event_time_then_arrival_then_place_in_the_source(tmp_path: Path) -> None:
    rows = [
        row(id="late", when="2025-03-01T11:00:00"),
        row(id="second", arrival="2"),
        row(id="first", arrival="1"),
        row(id="third"),
        row(id="fourth"),
        row(id="day before", when="2025-02-28T23:59:59.999"),
    ]
    run(write_csv(tmp_path / "in.csv", rows), tmp_path / "out", buffered_rows=2)
    ids = read_days(tmp_path / "out").column("transaction_id").to_pylist()
    assert ids == ["day before", "first", "second", "third", "fourth", "late"]
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["day=2025-02-28", "day=2025-03-01"]


def test_prefixes_constants_values_and_labels_are_applied(tmp_path: Path) -> None:
    mapping = parse_mapping(
        "columns: {event_time: when, customer_id: who, amount: amount, is_fraud: fraud, merchant_category: shop}\n"
        "prefixes: {customer_id: cust-, transaction_id: bank-}\n"
        "constants: {currency: GBP, transaction_type: online}\n"
        "labels: {fraud: [Y], legit: [N]}\n"
        "values: {merchant_category: {m1: grocery, m2: null}}\n"
        "amount_unit: minor\n",
        "test",
    )
    rows = [row(fraud="Y", amount="5"), row(fraud="N", amount="6.5"), row(fraud="N", amount="7", shop="m2")]
    run(write_csv(tmp_path / "in.csv", rows), tmp_path / "out", mapping)
    first, second = read_days(tmp_path / "out").to_pylist()
    assert (first["transaction_id"], first["customer_id"]) == ("bank-1-1", "cust-c1")
    assert (first["currency"], first["transaction_type"], first["is_fraud"]) == ("GBP", "online", 1)
    assert (first["amount_minor"], first["merchant_category"]) == (5, "grocery")
    assert (second["transaction_id"], second["merchant_category"]) == ("bank-1-3", None)
    assert rejected(tmp_path / "out") == [(2, "amount", "6.5", "must be a whole number of minor units")]


def test_the_handbook_mapping_reads_the_handbook_s_columns(tmp_path: Path) -> None:
    table = pa.table(
        {
            "TRANSACTION_ID": pa.array([0, 1, 2], pa.int32()),
            "TX_DATETIME": pa.array([datetime(2018, 4, 1, 0, 0, s) for s in (31, 32, 33)], pa.timestamp("ms")),
            "CUSTOMER_ID": pa.array([596, 597, 598], pa.int32()),
            "TERMINAL_ID": pa.array([3156, 3157, 596], pa.int32()),
            "TX_AMOUNT": [57.16, 0.0, 146.0],
            "TX_FRAUD": pa.array([0, 0, 1], pa.int8()),
            "TX_FRAUD_SCENARIO": pa.array([0, 0, 2], pa.int8()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    run(tmp_path / "in.parquet", tmp_path / "out", load_mapping("handbook"))
    first, last = read_days(tmp_path / "out").to_pylist()
    assert (first["transaction_id"], first["customer_id"], first["merchant_id"]) == ("TX0", "C596", "T3156")
    assert (first["amount_minor"], first["is_fraud"], first["fraud_pattern"]) == (5716, 0, None)
    assert (last["is_fraud"], last["fraud_pattern"]) == (1, "compromised_terminal")
    assert rejected(tmp_path / "out") == [(2, "amount", "0", "must be greater than 0")]


def test_a_history_survives_the_round_trip_byte_for_byte(tmp_path: Path) -> None:
    simulate(tmp_path / "a", transactions=2_000, days=7, show_progress=False)
    report = run(tmp_path / "a", tmp_path / "b", load_mapping("tollgate"), buffered_rows=700)
    assert report.rows_written == 2_000
    files = sorted(f.relative_to(tmp_path / "a") for f in (tmp_path / "a").rglob("*.parquet"))
    assert len(files) == 7
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_a_failed_ingestion_leaves_the_history_that_was_there(tmp_path: Path) -> None:
    good = write_csv(tmp_path / "good.csv", [row()])
    run(good, tmp_path / "out")
    with pytest.raises(InvalidHistory, match="not empty"):
        run(good, tmp_path / "out")
    folder = tmp_path / "in"
    folder.mkdir()
    write_csv(folder / "a.csv", [row(id="a")])
    (folder / "b.csv").write_bytes((folder / "a.csv").read_bytes().replace(b"m1", b"x" * (17 << 20)))
    with pytest.raises(InvalidHistory):
        run(folder, tmp_path / "out", overwrite=True)
    assert read_days(tmp_path / "out").column("transaction_id").to_pylist() == ["t1"]


def mostly(good: str, *bad: str) -> st.SearchStrategy[str]:
    return st.sampled_from([good] * 4 + list(bad))


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["", *"abcdefghij"]),
            "when": mostly("2025-03-01 10:00", "2025-03-05 09:00", "1970-01-01", "soon", "2030-01-01"),
            "who": mostly("c1", "", LONG),
            "shop": mostly("m1", "", LONG),
            "device": st.just(""),
            "amount": mostly("3.99", "0", "-1", "0.001", "x", "2e9", ""),
            "currency": mostly("EUR", "", "E1"),
            "lat": mostly("1.5", "91", "", "x"),
            "long": mostly("1.5", "181", "", "x"),
            "fraud": mostly("0", "1", "", "2"),
            "arrival": st.just(""),
        }
    ),
    max_size=25,
)


def passes_the_door(cells: dict[str, str]) -> bool:
    """Return whether the online contract takes a row; labels and presence of ids aside."""
    sent = {
        "transaction_id": cells["id"] or None,
        "timestamp": cells["when"],
        "customer_id": cells["who"],
        "merchant_id": cells["shop"] or None,
        "currency": cells["currency"] or None,
    }
    try:
        numbers = {name: float(cells[name]) if cells[name] else None for name in ("amount", "lat", "long")}
        transaction = Transaction.model_validate(sent | numbers)
        check_transaction(transaction, int(NOW * 1000))
    except (ValueError, InvalidTransaction):
        return False
    return True


@settings(max_examples=40, deadline=None)
@given(rows=ROWS)
def test_each_row_is_written_or_rejected_as_the_door_would_have_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    report = run(write_csv(folder / "in.csv", rows), folder / "out", buffered_rows=4)
    first_good: dict[str, int] = {}
    for number, cells in enumerate(rows, start=1):
        if cells["id"] and cells["fraud"] != "2" and passes_the_door(cells):
            first_good.setdefault(cells["id"], number)
    expected = set(first_good.values())
    aside = rejected(folder / "out") if report.rows_rejected else []
    assert sorted(number for number, *_ in aside) == [n for n in range(1, len(rows) + 1) if n not in expected]
    written = read_days(folder / "out").column("transaction_id").to_pylist() if report.rows_written else []
    assert sorted(written) == sorted(first_good)
    assert report.rows_in == report.rows_written + report.rows_rejected == len(rows)
    assert sum(report.reasons.values()) == report.rows_rejected


def test_a_history_is_not_replaced_by_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(write_csv(tmp_path / "good.csv", [row()]), out)
    before = read_days(out)
    bad = write_csv(tmp_path / "bad.csv", [row(amount="-1"), row(amount="-2")])
    with pytest.raises(InvalidHistory, match=r"no history in place of .*all 2 rows were rejected, 2 for amount"):
        run(bad, out, overwrite=True)
    assert read_days(out).equals(before)
