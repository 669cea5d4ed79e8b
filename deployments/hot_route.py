"""The hot route: POST /predict answered in an ASGI layer in front of all others.

FastAPI still documents the route, and answers it with the same function where this layer does not apply
(another route prefix, another way to start the server). Everything else passes through untouched.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.errors import RETRY_AFTER_S, ErrorBody, FieldError
from deployments.responses import error_json

REQUEST_ID: Final = b"x-request-id"
"""A client's own name for a request, which the answer repeats."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and bytes of one answer, and headers beside those that every answer has."""

    status: int
    body: bytes
    media_type: bytes = b"application/json"
    extra: tuple[tuple[bytes, bytes], ...] = ()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the raw headers of the answer."""
        headers = [(b"content-type", self.media_type), (b"content-length", b"%d" % len(self.body)), *self.extra]
        if self.status == 503:
            headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
        return headers


Gone = Callable[[], bool]
"""Says whether the client has left."""
Answerer = Callable[[bytes, bytes], Awaitable[Answer]]
"""From body and query string to the answer; never raises."""
HotAnswerer = Callable[[bytes, bytes, Gone], Awaitable[Answer]]
"""The same for a request whose client nobody else watches."""


class BodyTooLarge(Exception):
    """A request body passed the bound."""


class HotRoute:
    """Answers one route by itself and hands everything else to the application behind it.

    Args:
        app: the application behind.
        path: of the POST route to answer.
        answer: computes the answer.
        max_body_bytes: current bound on the body.
    """

    def __init__(self, app: ASGIApp, path: str, answer: HotAnswerer, max_body_bytes: Callable[[], int]) -> None:
        self._app = app
        self._path = path
        self._answer = answer
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await read_body(receive, self._max_body_bytes())
        except BodyTooLarge:
            answer = too_large(self._max_body_bytes())
        else:
            if body is None:
                return
            answer = await self._answer(body, scope["query_string"], gone(receive))
        headers = answer.headers()
        for name, value in scope["headers"]:
            if name == REQUEST_ID:
                headers.append((name, value))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def gone(receive: Receive) -> Gone:
    """Return a function that says whether the client of a request has left.

    ASGI tells it to those alone who wait for a message, which would cost a task a request. uvicorn keeps it with
    the request; behind another server nobody is known to leave, and what they asked for is computed in vain.
    """
    cycle = getattr(receive, "__self__", None)
    return lambda: getattr(cycle, "disconnected", False)


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """Return the request's body; None when the client went away before it was whole.

    Raises:
        BodyTooLarge: more than ``limit`` bytes came; the rest is not read.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_large(limit: int) -> Answer:
    """Return the 413 answer."""
    message = f"the body has more than {limit} bytes; send fewer items a request"
    details = [FieldError(field="body", message=f"must have at most {limit} bytes")]
    return Answer(413, error_json(ErrorBody(code="body_too_large", message=message, details=details)))
