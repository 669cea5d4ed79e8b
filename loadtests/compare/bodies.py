"""The bodies that wrk posts, in each server's own form, and the files that bodies.lua reads them from."""

import json
import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]

from features.formulas import Matrix
from loadtests.compare.payments import bulk
from loadtests.compare.systems import BULK_ROWS, BodyKind

JSON: Final = "application/json"
ARROW: Final = "application/vnd.apache.arrow.stream"
BULK_BODIES: Final = 16
"""Distinct bodies of a bulk file: 8,000 payments of about as many customers."""

PAYMENT_SCHEMA: Final = pa.schema(
    [
        ("transaction_id", pa.string()),
        ("timestamp", pa.timestamp("ms", "UTC")),
        ("customer_id", pa.string()),
        ("merchant_id", pa.string()),
        ("amount", pa.float64()),
        ("currency", pa.string()),
        ("device_id", pa.string()),
        ("lat", pa.float64()),
        ("long", pa.float64()),
    ]
)


def content_type(kind: BodyKind) -> str:
    """Return the media type of a body."""
    return ARROW if kind == "bulk_arrow" else JSON


def of_payments(kind: BodyKind, payments: Sequence[dict[str, Any]]) -> bytes:
    """Return payments as the body of one request; a "payment" body holds the only one."""
    if kind == "bulk_arrow":
        rows = [row | {"timestamp": datetime.fromtimestamp(row["timestamp"], UTC)} for row in payments]
        table = pa.Table.from_pylist(rows, schema=PAYMENT_SCHEMA)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        body: bytes = sink.getvalue().to_pybytes()
        return body
    if kind == "bulk_json":
        return _json(payments)
    [single] = payments
    return _json(single)


def of_vector(kind: BodyKind, vector: Sequence[float]) -> bytes:
    """Return one feature vector (d,) in the form that a server documents."""
    match kind:
        case "vector":
            return _json({"features": vector})
        case "vectors":
            return _json({"features": [vector]})
        case "tensor":
            tensor = {"name": "features", "shape": [1, len(vector)], "datatype": "FP64", "data": vector}
            return _json({"inputs": [tensor]})
        case "mlflow":
            return _json({"inputs": [vector]})
    raise ValueError(f"a body of kind {kind} holds payments, not a vector")


def takes_vectors(kind: BodyKind) -> bool:
    """Return whether requests hold feature vectors rather than payments."""
    return kind in ("vector", "vectors", "tensor", "mlflow")


def write_bulk(kind: BodyKind, path: Path, customers: int, now_s: float) -> None:
    """Write a file of distinct bulk bodies of payments made now; the same payments for either kind."""
    chance = random.Random(1)
    write(path, (of_payments(kind, bulk(BULK_ROWS, customers, now_s, chance)) for _ in range(BULK_BODIES)))


def write_vectors(kind: BodyKind, path: Path, matrix: Matrix) -> None:
    """Write a file with one body for each row of a feature matrix (n, d)."""
    write(path, (of_vector(kind, row) for row in matrix.tolist()))


def write(path: Path, bodies: Iterable[bytes]) -> None:
    """Write a file for bodies.lua: each body after a line with its length in bytes."""
    with path.open("wb") as file:
        for body in bodies:
            file.write(b"%d\n" % len(body) + body)


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
