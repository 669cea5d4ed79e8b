"""``tollgate score``: every row of a file gets its answer, through a service that is sometimes busy."""

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pacsv  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from cluster.scoring.client import ArrowClient
from cluster.scoring.score import OUT_SCHEMA, ScoreReport, score
from cluster.scoring.summary import score_summary
from features.errors import InvalidHistory, OnlineStoreUnavailable, ScoringFailed
from tests.unit.deployments.graph import Graph
from tests.unit.deployments.service import NOW_S, Service
from training.ingestion.mapping import parse_mapping

URL = "http://tollgate"
Wrong = Callable[[int], httpx.Response | None]


class Stand(httpx.BaseTransport):
    """A service in this process; ``wrong`` may answer the n-th request in its place, or raise."""

    def __init__(self, graph: Graph | None = None, wrong: Wrong = lambda _: None, **bounds: Any) -> None:
        self.graph = graph or Graph()
        self.requests = 0
        self._wrong = wrong
        self._service = Service(self.graph, **bounds)
        # Its batcher belongs to one event loop at a time.
        self._one_at_a_time = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        other = self._wrong(self.requests - 1)
        if other is not None:
            return other
        with self._one_at_a_time:
            answer = asyncio.run(self._service.predict_arrow(request.read(), request.url.query))
        headers = [(name.decode(), value.decode()) for name, value in answer.headers()]
        return httpx.Response(answer.status, headers=headers, content=answer.body)


def payments(n: int) -> pa.Table:
    return pa.table(
        {
            "timestamp": [1_770_000_000 + at for at in range(n)],
            "customer_id": [f"00{at % 7}" for at in range(n)],
            "amount": [float(at + 1) for at in range(n)],
            "is_fraud": [0] * n,
        }
    )


def run(path: Path, stand: Stand, **options: Any) -> tuple[ScoreReport, list[dict[str, Any]]]:
    out = path.with_suffix(".out")
    options = {"connections": 1, **options}
    report = score(path, out, url=URL, transport=stand, show_progress=False, clock=lambda: NOW_S, **options)
    table = pq.read_table(out)
    assert table.schema.names == OUT_SCHEMA.names
    return report, table.to_pylist()


@pytest.fixture(params=["parquet", "csv"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"payments.{request.param}"
    if request.param == "csv":
        pacsv.write_csv(payments(100), path)
    else:
        pq.write_table(payments(100), path)
    return path


@pytest.mark.parametrize(("batch_size", "connections"), [(1000, 1), (7, 1), (7, 3)])
def test_every_row_is_answered_under_its_number(file: Path, batch_size: int, connections: int) -> None:
    stand = Stand()
    report, rows = run(file, stand, batch_size=batch_size, connections=connections)
    assert [row["row"] for row in rows] == list(range(1, 101))
    assert [row["fraud_probability"] for row in rows] == [(at + 1) / 1000 for at in range(100)]
    assert (report.decided, report.failed, report.decisions) == (100, 0, {"APPROVE": 100})
    assert report.ignored == ("is_fraud",)
    assert not file.with_suffix(".out.partial").exists()


def test_rows_without_an_id_get_one_that_a_retry_keeps(file: Path) -> None:
    def lost_once(request: int) -> httpx.Response | None:
        if request == 1:
            raise httpx.ReadError("connection lost")
        return None

    stand = Stand(wrong=lost_once)
    _, rows = run(file, stand, batch_size=50)
    ids = [row["transaction_id"] for row in rows]
    assert len(set(ids)) == 100
    assert sorted(one for seen in stand.graph.seen for one in seen) == sorted(ids)


def test_bad_rows_are_in_the_result_with_their_reason_and_are_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("timestamp,customer_id,amount\n2026-02-02T10:00:00,c,5\nyesterday,c,5\n2026-02-02,c,-5\nx\n")
    report, rows = run(path, Stand())
    assert [row["error_field"] for row in rows] == [None, "timestamp", "amount", "row"]
    assert (report.decided, report.failed) == (1, 3)
    text = str(score_summary(report))
    assert "1 of 4 rows decided" in text
    assert "invalid_transaction amount: 1" in text


def test_a_mapping_names_the_columns_of_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"when": [1_770_000_000_000], "who": ["c"], "cents": [12345]}), path)
    mapping = parse_mapping(
        json.dumps(
            {
                "columns": {"event_time": "when", "customer_id": "who", "amount": "cents"},
                "timestamp": {"unit": "ms"},
                "amount_unit": "minor",
            }
        ),
        "foreign",
    )
    _, [row] = run(path, Stand(), mapping=mapping)
    assert row["fraud_probability"] == 0.12345


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "timestamp,customer\n1,2\n", "lacks the column customer_id"),
        ("a.txt", "x", "neither .csv"),
        ("a.parquet", "no parquet", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_scored_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InvalidHistory, match=words):
        run(path, Stand())


def test_a_refusal_ends_the_command_and_what_was_decided_is_kept(file: Path) -> None:
    refused = httpx.Response(422, json={"error": {"message": "body: must hold at most 10"}})
    stand = Stand(wrong=lambda request: refused if request == 3 else None)
    with pytest.raises(
        ScoringFailed, match=r"422 body: must hold at most 10.*answers to 30 rows are in .*partial"
    ):
        run(file, stand, batch_size=10)
    assert pq.read_table(file.with_suffix(".out.partial"))["row"].to_pylist() == list(range(1, 31))


def test_a_file_of_which_nothing_was_decided_leaves_nothing(file: Path) -> None:
    with pytest.raises(ScoringFailed, match="422 body: must hold at most 10"):
        run(file, Stand(max_arrow_rows=10))
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_file_itself_is_not_written_over(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(ScoringFailed, match="is the file that is read"):
        score(file, file, url=URL, transport=Stand(), show_progress=False)
    assert file.read_bytes() == before


def test_who_interrupts_keeps_what_was_decided(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand(wrong=lambda request: httpx.Response(503) if request >= 2 else None)
    result = Future.result

    def interrupted(*_: Any) -> Any:
        # Ctrl+C comes while the service is busy with the third request.
        while stand.requests < 3:
            pass
        monkeypatch.setattr(Future, "result", result)
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(ScoringFailed, match=r"Interrupted. The answers to 20 rows are in"):
        run(file, stand, batch_size=10)
    assert stand.requests == 3


def client(stand: Stand) -> tuple[ArrowClient, list[float]]:
    """Return a client for which time passes only while it pauses, and its pauses."""
    pauses: list[float] = []
    http = httpx.Client(base_url=URL, transport=stand)
    return ArrowClient(http, pause=pauses.append, clock=lambda: sum(pauses)), pauses


def transactions(n: int) -> pa.Table:
    ids = pa.array([f"t{at}" for at in range(n)])
    return payments(n).drop_columns("is_fraud").append_column("transaction_id", ids)


def test_a_busy_service_is_asked_again_after_the_pause_that_it_names() -> None:
    busy = httpx.Response(503, headers={"retry-after": "7"}, json={"error": {"message": "full"}})
    scoring, pauses = client(Stand(wrong=lambda request: busy if request < 2 else None))
    assert len(scoring.score(transactions(3))) == 3
    assert pauses == [7.0, 7.0]


def nobody(_: int) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


def test_a_service_that_stays_away_is_given_up_in_a_sentence() -> None:
    scoring, pauses = client(Stand(wrong=lambda request: nobody(request) if request else None))
    scoring.score(transactions(1))
    with pytest.raises(ScoringFailed, match="no answer from http://tollgate"):
        scoring.score(transactions(1))
    assert sum(pauses) >= 299


def test_a_service_that_was_never_there_is_not_waited_for() -> None:
    scoring, pauses = client(Stand(wrong=nobody))
    with pytest.raises(ScoringFailed, match="is it up"):
        scoring.score(transactions(1))
    assert pauses == []


def test_rows_after_a_chunk_that_failed_are_sent_again_in_order() -> None:
    stand = Stand(Graph(errors={1: OnlineStoreUnavailable("away")}), batch={"max_size": 2})
    scoring, pauses = client(stand)
    answer = scoring.score(transactions(5))
    assert answer["transaction_id"].to_pylist() == [f"t{at}" for at in range(5)]
    assert answer["error_code"].null_count == 5
    assert pauses == [1.0]
    assert stand.graph.seen == [["t0", "t1"], ["t2", "t3"], ["t2", "t3"], ["t4"]]


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (httpx.Response(200, json={"status": "ok"}), "is it Tollgate"),
        (httpx.Response(404, text="nothing here"), "404 nothing here"),
        (httpx.Response(413, json={"error": {"message": "too large"}}), "413 too large"),
    ],
)
def test_an_answer_that_is_none_of_ours_ends_the_command(response: httpx.Response, words: str) -> None:
    scoring, _ = client(Stand(wrong=lambda _: response))
    with pytest.raises(ScoringFailed, match=words):
        scoring.score(transactions(1))
