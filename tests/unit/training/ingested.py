"""What the tests of ingestion share: a mapping, a good row, and what was set aside."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq  # type: ignore[import-untyped]

from training.ingest import IngestReport, ingest
from training.ingestion.mapping import ColumnMapping, parse_mapping

RANGE = "must have 1 to 64 characters"
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


MAPPING = parse_mapping(
    "columns: {transaction_id: id, event_time: when, customer_id: who, merchant_id: shop, device_id: device,"
    " amount: amount, currency: currency, lat: lat, long: long, is_fraud: fraud, arrival: arrival}",
    "test",
)


GOOD: dict[str, Any] = {
    "id": "t1",
    "when": "2025-03-01T10:00:00",
    "who": "c1",
    "shop": "m1",
    "device": "d1",
    "amount": "25.50",
    "currency": "EUR",
    "lat": "41.5",
    "long": "2.1",
    "fraud": "0",
    "arrival": "",
}


def row(**changes: Any) -> dict[str, Any]:
    return GOOD | changes


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(GOOD))
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(source: Path, out: Path, mapping: ColumnMapping = MAPPING, **options: Any) -> IngestReport:
    return ingest(source, out, mapping, show_progress=False, clock=lambda: NOW, **options)


def rejected(out: Path) -> list[tuple[int, str, str | None, str]]:
    table = pq.read_table(out / "_rejected" / "part-0.parquet").to_pylist()
    return [(r["row"], r["field"], r["value"], r["reason"]) for r in table]
