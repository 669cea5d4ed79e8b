"""Bounds on requests at the gate, by hand: what a client sends is not what httpx would."""

from typing import Any

import pytest
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope

from deployments.access.callers import Callers
from deployments.access.gate import Gate
from deployments.settings import IngressSettings


async def swallow(scope: AsgiScope, receive: Receive, send: Send) -> None:
    """An application that reads the whole body, and says how long it was, and what headers came."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"x-size", b"%d" % size), *scope["headers"]]}
    )
    await send({"type": "http.response.body", "body": b""})


async def ask(
    headers: list[tuple[bytes, bytes]], chunks: list[bytes], path: str = "/predict/batch", **changes: Any
) -> tuple[int, dict[bytes, bytes], int]:
    """Return status, headers, and how many chunks were left unread."""
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting.append({"type": "http.request", "body": b""})
    sent: list[Message] = []
    refused: list[int] = []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    settings = IngressSettings(max_body_bytes=1024, max_arrow_bytes=2048)
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers, **changes}
    await Gate(swallow, Callers(), lambda: settings, refused.append, outer=True)(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert refused == [status for status in [sent[0]["status"]] if status != 200]
    return sent[0]["status"], dict(sent[0]["headers"]), len(waiting)


@pytest.mark.parametrize(
    ("path", "media_type", "limit"),
    [
        ("/predict/batch", b"application/json", 1024),
        ("/predict/batch", b"application/vnd.apache.arrow.stream", 2048),
        ("/labels", b"", 1024),
        ("/health", b"", 64 * 1024),
        ("/nothing", b"", 2048),
    ],
)
async def test_a_body_in_chunks_ends_at_the_bound_of_its_route(path: str, media_type: bytes, limit: int) -> None:
    headers = [(b"content-type", media_type), (b"transfer-encoding", b"chunked")]
    method = "GET" if path == "/health" else "POST"
    half = b"x" * (limit // 2)
    status, answer, _ = await ask(headers, [half, half], path, method=method)
    assert (status, answer[b"x-size"]) == (200, b"%d" % limit)
    status, answer, unread = await ask(headers, [half, half, b"x", half, half], path, method=method)
    assert (status, answer[b"connection"], unread) == (413, b"close", 3)


async def test_a_length_past_the_bound_is_refused_before_the_body_is_read() -> None:
    status, answer, unread = await ask([(b"content-length", b"1025")], [b"x"])
    assert (status, answer[b"connection"], unread) == (413, b"close", 2)


async def test_a_stream_of_lines_has_no_bound_here() -> None:
    chunks = [b"x" * 1024] * 5
    assert (await ask([(b"content-type", b"Application/X-NDJSON; charset=utf-8")], chunks))[0] == 200


async def test_too_many_headers_and_too_long_ones_are_refused() -> None:
    assert (await ask([(b"a", b"b")] * 100, []))[0] == 200
    assert (await ask([(b"a", b"b")] * 101, []))[0] == 431
    assert (await ask([(b"a", b"b" * (16 * 1024 - 1))], []))[0] == 200
    assert (await ask([(b"a", b"b" * (16 * 1024))], []))[0] == 431
    assert (await ask([], [], query_string=b"x" * 5000))[0] == 414


async def test_headers_with_which_clients_would_decide_on_serve_are_taken_away() -> None:
    ours = [
        (b"x-request-timeout-seconds", b"0"),
        (b"x-request-disconnect-disabled", b"?1"),
        (b"serve_multiplexed_model_id", b"x"),
        (b"serve-multiplexed-model-id", b"x"),
        (b"x-session-id", b"x"),
        (b"accept", b"*/*"),
    ]
    _, answer, _ = await ask(ours, [])
    assert {name for name, _ in ours} & answer.keys() == {b"accept"}


@pytest.mark.parametrize(
    ("request_id", "stays"),
    [(b"a-1", True), (b"x" * 128, True), (b"x" * 129, False), (b"\xff", False), (b"a b", False)],
)
async def test_a_request_id_goes_on_when_it_is_short_and_printable(request_id: bytes, stays: bool) -> None:
    _, answer, _ = await ask([(b"x-request-id", request_id)], [])
    assert (b"x-request-id" in answer) == stays


async def test_a_websocket_is_closed() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await Gate(swallow, Callers(), IngressSettings, print)(
        {"type": "websocket", "path": "/predict"}, receive, send
    )
    assert sent == [{"type": "websocket.close", "code": 1008}]
