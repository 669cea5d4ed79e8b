"""The NDJSON road: lines are answered in order while others still come, and a bad one harms no other."""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError
from starlette.types import Message

from deployments.in_front_of_serve import StreamHeaders
from deployments.settings import BatchSettings, IngressSettings
from features.errors import Overloaded
from tests.unit.deployments.graph import Graph
from tests.unit.deployments.service import Service

GOOD = {"timestamp": 1_770_000_000, "customer_id": "c1", "amount": 100}


def chunk(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


class Connection:
    """The client's side of one request, piece by piece."""

    def __init__(self, service: Service, query: bytes = b"") -> None:
        self._requests: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        scope = {"type": "http", "query_string": query}
        self.running = asyncio.ensure_future(service.ndjson(scope, self._requests.get, self._answers.put))

    def send(self, body: bytes, more: bool = True) -> None:
        self._requests.put_nowait(chunk(body, more))

    def leave(self) -> None:
        self._requests.put_nowait({"type": "http.disconnect"})

    async def start(self) -> int:
        message = await self._answers.get()
        assert message["type"] == "http.response.start"
        return int(message["status"])

    async def lines(self) -> list[dict[str, Any]]:
        """Return the next answers; none at the end."""
        message = await self._answers.get()
        assert message["type"] == "http.response.body"
        return [json.loads(line) for line in message["body"].splitlines()]

    async def rest(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while lines := await self.lines():
            found += lines
        await self.running
        return found


def line(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode() + b"\n"


async def answers(service: Service, pieces: list[bytes], query: bytes = b"") -> list[dict[str, Any]]:
    connection = Connection(service, query)
    for at, piece in enumerate(pieces):
        connection.send(piece, at < len(pieces) - 1)
    assert await connection.start() == 200
    return await connection.rest()


some_lines = st.lists(
    st.sampled_from([GOOD | {"transaction_id": "t", "amount": amount} for amount in (10, 950, -1)] + [3, {}]),
    min_size=1,
    max_size=10,
)


@given(some_lines, st.lists(st.integers(0, 2000), max_size=6), st.integers(1, 4), st.booleans())
@settings(max_examples=60)
async def test_lines_are_answered_as_the_same_items_of_an_array_wherever_the_stream_is_cut(
    items: list[Any], cuts: list[int], size: int, include_features: bool
) -> None:
    query = b"include=features" if include_features else b""
    service = Service(Graph(), batch=BatchSettings(max_size=size))
    whole = json.loads((await service.predict_batch(json.dumps(items).encode(), query)).body)
    data = b"\n".join(json.dumps(item).encode() for item in items)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(places)]
    assert await answers(service, pieces, query) == whole["results"]


async def test_a_line_is_answered_while_the_body_is_still_open() -> None:
    connection = Connection(Service(Graph()))
    connection.send(line(amount=10) + b'{"half":')
    assert await connection.start() == 200
    [first] = await connection.lines()
    assert (first["index"], first["fraud_probability"]) == (0, 0.01)
    connection.send(b"1}\n" + line(amount=20), more=False)
    second, third = await connection.rest()
    assert second["error"]["details"][0]["field"] == "timestamp"
    assert (third["index"], third["fraud_probability"]) == (2, 0.02)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"amount":', "invalid_json"),
        (b"[" * 1000, "invalid_json"),
        (b"{} {}", "invalid_json"),
        (b'{"customer_id": "\xff"}', "invalid_json"),
        (b"x" * 300, "invalid_transaction"),
        (b"null", "invalid_transaction"),
        (line(colour="red").strip(), "invalid_transaction"),
    ],
)
async def test_a_broken_line_is_an_error_for_that_line_alone(bad: bytes, code: str) -> None:
    service = Service(Graph(), max_line_bytes=1024 if bad.startswith(b"[") else 256)
    rows = await answers(service, [line() + bad + b"\n" + line()])
    assert ["error" in row for row in rows] == [False, True, False]
    assert rows[1]["error"]["code"] == code
    assert rows[1]["error"]["details"][0]["field"]


async def test_two_broken_lines_that_would_make_one_array_together_are_two_errors() -> None:
    rows = await answers(Service(Graph()), [b'{"a":[{}\n{}]},{}\n' + line()])
    assert ["error" in row for row in rows] == [True, True, False]


async def test_an_error_before_the_first_decision_answers_the_whole_request() -> None:
    for graph, query, status in (
        (Graph(errors={0: ActorDiedError()}), b"", 503),
        (Graph(errors={0: KeyError()}), b"", 500),
        (Graph(), b"include=all", 422),
    ):
        connection = Connection(Service(graph), query)
        connection.send(line())
        assert await connection.start() == status
        assert "error" in (await connection.lines())[0]


async def test_lines_of_a_chunk_that_failed_have_its_error_and_the_stream_goes_on() -> None:
    service = Service(Graph(errors={1: ActorDiedError()}), batch=BatchSettings(max_size=2))
    rows = await answers(service, [line() * 6])
    assert ["error" in row for row in rows] == [False, False, True, True, False, False]
    assert rows[2]["error"]["code"] == "unavailable"


async def test_while_the_queue_is_full_a_stream_waits_and_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.ndjson.RETRY_AFTER_S", 0)
    service = Service(
        Graph(errors={1: Overloaded("full"), 2: Overloaded("full")}), batch=BatchSettings(max_size=1)
    )
    assert ["error" in row for row in await answers(service, [line() * 3])] == [False] * 3
    service = Service(Graph(errors={1: Overloaded("full")}), batch=BatchSettings(max_size=1), max_retry_ms=0)
    rows = await answers(service, [line() * 3])
    assert [row.get("error", {}).get("code") for row in rows] == [None, "overloaded", None]


async def test_the_body_is_read_no_faster_than_it_is_decided() -> None:
    graph = Graph(gate=asyncio.Event())
    connection = Connection(Service(graph))
    for _ in range(5):
        connection.send(line())
    await graph.began.wait()
    assert connection._requests.qsize() == 4
    assert graph.gate is not None
    graph.gate.set()
    connection.send(b"", more=False)
    await connection.start()
    assert [row["index"] for row in await connection.rest()] == [0, 1, 2, 3, 4]


async def test_a_client_that_goes_away_ends_the_work() -> None:
    graph = Graph()
    connection = Connection(Service(graph))
    connection.send(line() + b'{"half')
    await connection.start()
    connection.leave()
    await connection.running
    assert len(graph.seen) == 1


async def test_a_client_that_sends_all_before_it_reads_gets_all_answers() -> None:
    service = Service(Graph(), max_unread_bytes=2**16, patience_ms=1, batch=BatchSettings(max_size=64))
    rows = await answers(service, [line() * 200] * 5)
    assert [row["index"] for row in rows] == list(range(1000))


async def test_rows_that_were_taken_for_a_larger_batch_are_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(Graph(), batch=BatchSettings(max_size=256))
    decide = service.scoring.decide

    async def after_a_change(*arguments: Any) -> Any:
        service.reconfigure(IngressSettings(batch=BatchSettings(max_size=64), deadline_ms=60_000))
        return await decide(*arguments)

    monkeypatch.setattr(service.scoring, "decide", after_a_change)
    rows = await answers(service, [line() * 200])
    assert [row["index"] for row in rows if "decision" in row] == list(range(200))


async def test_a_client_that_sends_nothing_for_too_long_is_cut_off() -> None:
    connection = Connection(Service(Graph(), max_stall_ms=1))
    connection.send(line())
    await connection.start()
    with pytest.raises(ConnectionError):
        await connection.running


@pytest.mark.parametrize(
    ("path", "content_type", "expected"),
    [
        (
            "/predict/batch",
            b"application/x-ndjson",
            {b"x-request-timeout-seconds": b"0", b"x-request-disconnect-disabled": b"?1"},
        ),
        (
            "/predict/batch",
            b"Application/X-NDJSON; charset=utf-8",
            {b"x-request-timeout-seconds": b"0", b"x-request-disconnect-disabled": b"?1"},
        ),
        ("/predict/batch", b"application/json", {}),
    ],
)
async def test_only_a_stream_of_lines_may_go_on_for_ever_and_no_client_decides_that(
    path: str, content_type: bytes, expected: dict[bytes, bytes]
) -> None:
    seen: dict[bytes, bytes] = {}

    async def behind(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 - as ASGI demands.
        seen.update(scope["headers"])

    headers = [(b"content-type", content_type), (b"x-request-timeout-seconds", b"9")]
    await StreamHeaders(behind)({"type": "http", "path": path, "headers": headers}, None, None)  # type: ignore[arg-type]
    assert seen == {b"content-type": content_type, **expected}
