"""The bulk roads through the real graph: the same transactions, the same decisions; and lines that stream."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from deployments.media_types import ARROW, NDJSON
from features.definitions import FEATURE_NAMES
from tests.serve.conftest import Stack

pytestmark = pytest.mark.serve

Json = dict[str, Any]
ROWS = 700
"""More than one chunk."""


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.http, timeout=60) as client:
        yield client


def payments(road: str, rows: int = ROWS) -> list[Json]:
    """Return the same payments of other customers at other merchants for each road; some are bad."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    mark = f"{road}-{time.monotonic_ns()}"
    return [
        {
            "transaction_id": f"{mark}-{at}",
            "timestamp": (noon + timedelta(seconds=at)).isoformat(),
            "customer_id": f"{mark}-{at % 50}",
            "merchant_id": f"{mark}-{at % 9}",
            "amount": -1.0 if at % 100 == 99 else 10.0 + at % 13 * 17,
            "currency": "EUR" if at % 2 else None,
        }
        for at in range(rows)
    ]


def decision(row: Json) -> Any:
    """Return what does not depend on the names of customer and merchant.

    Scores are compared to 1e-9: the last bits of a dot product depend on the batch that a row is in.
    """
    if "error" in row:
        return row["index"], row["error"]["details"][0]
    scores = row["model_scores"]
    kept = ("index", "prediction", "decision", "rules", "explanation", "degraded", "features")
    return {name: row[name] for name in kept}, *rounded(row["fraud_probability"], scores["lr"], scores["xgb"])


def decision_of_table(row: Json) -> Any:
    if row["error_code"] is not None:
        message = row["error_message"].removeprefix(f"{row['error_field']}: ")
        return row["index"], {"field": row["error_field"], "message": message}
    kept = ("index", "prediction", "decision", "rules", "explanation", "degraded")
    features = {name: row[name] for name in FEATURE_NAMES}
    scores = rounded(row["fraud_probability"], row["lr"], row["xgb"])
    return {name: row[name] for name in kept} | {"features": features}, *scores


def rounded(*scores: float) -> Any:
    return [pytest.approx(score, abs=1e-9) for score in scores]


def test_the_three_roads_decide_the_same_transactions_alike(client: httpx.Client) -> None:
    whole = client.post("/predict/batch?include=features", json=payments("json")).json()
    assert (whole["decided"], whole["failed"]) == (ROWS - 7, 7)
    expected = [decision(row) for row in whole["results"]]

    lines = "\n".join(json.dumps(row) for row in payments("lines"))
    streamed = client.post("/predict/batch?include=features", content=lines, headers={"content-type": NDJSON})
    assert streamed.headers["content-type"] == NDJSON
    assert [decision(json.loads(line)) for line in streamed.text.splitlines()] == expected

    sink = pa.BufferOutputStream()
    table = pa.Table.from_pylist(payments("arrow"))
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    answer = client.post(
        "/predict/batch?include=features", content=sink.getvalue().to_pybytes(), headers={"content-type": ARROW}
    )
    rows = pa.ipc.open_stream(answer.content).read_all().to_pylist()
    assert [decision_of_table(row) for row in rows] == expected


def test_a_line_is_answered_while_the_request_is_still_being_sent(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=60) as connection:
        connection.sendall(
            b"POST /predict/batch HTTP/1.1\r\nhost: tollgate\r\ncontent-type: %b\r\n"
            b"transfer-encoding: chunked\r\n\r\n" % NDJSON.encode()
        )
        answers = connection.makefile("rb")
        for index, row in enumerate(payments("open", 3)):
            line = json.dumps(row).encode() + b"\n"
            connection.sendall(b"%x\r\n%b\r\n" % (len(line), line))
            if index == 0:
                assert b" 200 " in answers.readline()
                while answers.readline().strip():
                    pass
            size = int(answers.readline(), 16)
            assert json.loads(answers.read(size + 2))["index"] == index
        connection.sendall(b"0\r\n\r\n")
        assert answers.readline() == b"0\r\n"


def test_a_client_that_sends_everything_before_it_reads_gets_every_answer(client: httpx.Client) -> None:
    rows = payments("half", 20_000)
    lines = (json.dumps(row).encode() + b"\n" for row in rows)
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port or 80, timeout=300)
    connection.request("POST", "/predict/batch", lines, {"content-type": NDJSON})
    answers = [json.loads(line) for line in connection.getresponse()]
    connection.close()
    assert [answer["index"] for answer in answers] == list(range(20_000))
    assert sum("error" in answer for answer in answers) == 200


def test_a_file_is_scored_and_a_bad_row_is_told_by_the_exit_code(stack: Stack, tmp_path: Path) -> None:
    file, out = tmp_path / "payments.parquet", tmp_path / "decisions.parquet"
    pq.write_table(pa.Table.from_pylist(payments("file")), file)
    scored = stack.tollgate("score", str(file), "--out", str(out), "--batch-size", "200")
    assert scored.returncode == 1, scored.stderr
    assert "693 of 700 rows decided" in scored.stderr
    table = pq.read_table(out)
    assert table["row"].to_pylist() == list(range(1, ROWS + 1))
    assert table["error_field"].drop_null().to_pylist() == ["amount"] * 7
