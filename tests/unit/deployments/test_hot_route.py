"""The ASGI layer in front of FastAPI, driven by hand."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from deployments.hot_route import Answer, BodyTooLarge, Gone, HotRoute, gone, read_body

LIMIT = 10


async def behind(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - as ASGI demands.
    await send({"type": "behind"})


async def echo(body: bytes, query: bytes, gone: Gone) -> Answer:  # noqa: ARG001 - as the route demands.
    return Answer(503 if body == b"busy" else 200, body + b"?" + query)


def scope_of(**changes: Any) -> Scope:
    return {"type": "http", "method": "POST", "path": "/predict", "query_string": b"q=1", "headers": [], **changes}


def chunk(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def run(scope: Scope, *messages: Message) -> tuple[list[Message], int]:
    """Return what the layer sent, and how many messages it left unread."""
    sent: list[Message] = []
    waiting = list(messages)

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(dict(message))

    await HotRoute(behind, "/predict", echo, lambda: LIMIT)(scope, receive, send)
    return sent, len(waiting)


def answer_of(sent: list[Message]) -> tuple[int, bytes, dict[bytes, bytes]]:
    start, body = sent
    assert start["type"] == "http.response.start"
    assert body["type"] == "http.response.body"
    assert not body.get("more_body", False)
    return start["status"], body["body"], dict(start["headers"])


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/predict/batch"},
        {"path": "/predict/"},
        {"path": "/"},
        {"path": "/prefix/predict"},
        {"method": "GET"},
        {"method": "OPTIONS"},
        {"type": "websocket"},
        {"type": "lifespan"},
    ],
)
async def test_everything_else_passes_through_unread(changes: dict[str, Any]) -> None:
    scope = scope_of(**changes)
    if scope["type"] == "lifespan":
        scope = {"type": "lifespan"}
    assert await run(scope, chunk(b"x")) == ([{"type": "behind"}], 1)


async def test_the_route_is_answered_with_length_and_type() -> None:
    sent, _ = await run(scope_of(), chunk(b"body"))
    assert answer_of(sent) == (200, b"body?q=1", {b"content-type": b"application/json", b"content-length": b"8"})


async def test_a_body_in_chunks_is_put_together() -> None:
    sent, _ = await run(scope_of(), chunk(b"bo", True), chunk(b"", True), chunk(b"dy", True), chunk(b""))
    assert answer_of(sent)[:2] == (200, b"body?q=1")


async def test_a_message_without_a_body_is_an_empty_one() -> None:
    sent, _ = await run(scope_of(query_string=b""), {"type": "http.request"})
    assert answer_of(sent)[:2] == (200, b"?")


async def test_an_overload_says_when_to_come_back() -> None:
    sent, _ = await run(scope_of(), chunk(b"busy"))
    status, _, headers = answer_of(sent)
    assert (status, headers[b"retry-after"]) == (503, b"1")


async def test_the_answer_repeats_the_request_id_byte_for_byte_and_no_other_header() -> None:
    headers = [(b"host", b"tollgate"), (b"x-request-id", b"a-1 \xff"), (b"x-request-ids", b"b")]
    sent, _ = await run(scope_of(headers=headers), chunk(b"body"))
    assert answer_of(sent)[2] == {
        b"content-type": b"application/json",
        b"content-length": b"8",
        b"x-request-id": b"a-1 \xff",
    }


@pytest.mark.parametrize("body", [b"busy", b"x" * (LIMIT + 1)])
async def test_a_refusal_repeats_the_request_id_as_well(body: bytes) -> None:
    sent, _ = await run(scope_of(headers=[(b"x-request-id", b"a-1")]), chunk(body))
    assert answer_of(sent)[2][b"x-request-id"] == b"a-1"


async def test_behind_a_server_that_does_not_tell_nobody_is_known_to_leave() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    assert gone(receive)() is False


async def test_a_body_of_just_the_bound_is_taken() -> None:
    sent, _ = await run(scope_of(), chunk(b"x" * LIMIT))
    assert answer_of(sent)[0] == 200


@pytest.mark.parametrize("messages", [[chunk(b"x" * 11)], [chunk(b"x" * 6, True), chunk(b"x" * 5, True)]])
async def test_a_larger_body_gets_413_in_the_one_shape_and_the_rest_is_not_read(messages: list[Message]) -> None:
    sent, unread = await run(scope_of(), *messages, chunk(b"rest"))
    status, body, headers = answer_of(sent)
    assert (status, unread) == (413, 1)
    error = json.loads(body)["error"]
    assert (error["code"], error["message"][:35]) == ("body_too_large", "the body has more than 10 bytes; se")
    assert error["details"] == [{"field": "body", "message": "must have at most 10 bytes"}]
    assert headers[b"content-length"] == b"%d" % len(body)


@pytest.mark.parametrize("before", [[], [chunk(b"bo", True)]])
async def test_a_client_who_leaves_before_the_body_is_whole_gets_no_answer(before: list[Message]) -> None:
    assert (await run(scope_of(), *before, {"type": "http.disconnect"}))[0] == []


async def test_a_request_that_is_cancelled_cancels_its_answer() -> None:
    began = asyncio.Event()
    cancelled = False

    async def never(body: bytes, query: bytes, gone: Gone) -> Answer:  # noqa: ARG001 - as the route demands.
        nonlocal cancelled
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled = True
            raise
        raise AssertionError

    async def receive() -> Message:
        return chunk(b"x")

    async def send(message: Message) -> None:
        raise AssertionError(message)

    task = asyncio.ensure_future(HotRoute(behind, "/predict", never, lambda: LIMIT)(scope_of(), receive, send))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled


async def test_reading_stops_at_the_bound() -> None:
    async def receive() -> Message:
        return chunk(b"xx", True)

    with pytest.raises(BodyTooLarge):
        await read_body(receive, 3)
