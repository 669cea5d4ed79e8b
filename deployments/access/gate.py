"""The gate: the one place where requests are let in, in front of the hot route and of FastAPI alike.

It stands twice, as there are two roads to the ingress: outermost in the HTTP server of a replica, in front of
Serve and the hot route; and around the FastAPI application, for what comes through Serve's proxy, or where the
outer one is not installed. A request that the outer gate let in passes the inner one as it is.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.access.bounded_body import BoundedBody, send_answer
from deployments.access.callers import STRANGER, Caller, Callers, is_let_in, let_in
from deployments.access.metering import METER
from deployments.access.refusals import NOT_FOUND, TOO_MANY_HEADERS, URL_TOO_LONG, body_too_large, no_method
from deployments.access.request_head import MAX_URL_BYTES, Head, HeadTooLarge, read_head
from deployments.access.routes import DOCS, Route, methods_of, route_of
from deployments.bulk import refusal
from deployments.hot_route import Answer
from deployments.media_types import ARROW, NDJSON
from deployments.settings import IngressSettings
from features.errors import RateLimited

MAX_UNASKED_BYTES: Final = 64 * 1024
"""Body of a request that needs none."""
_HOT: Final = "/predict"
_BATCH: Final = "/predict/batch"
_STREAM: Final = NDJSON.encode()
_ARROW: Final = ARROW.encode()
_CLOSE: Final = (b"connection", b"close")

_ALWAYS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # Decisions on people's payments are for the client alone, not for what lies between.
    (b"cache-control", b"no-store"),
)
_OF_DATA: Final = (*_ALWAYS, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"))
_OF_DOCS: Final = (*_ALWAYS, (b"content-security-policy", b"frame-ancestors 'none'"))
"""The pages of FastAPI load their scripts from elsewhere."""


class Gate:
    """Lets requests in, or answers why not; bounds what comes in, and adds security headers to what goes out.

    Args:
        app: the application behind.
        callers: tells who sends a request.
        settings: the bounds in force.
        refused: hears the status of each request that is not let in.
        outer: whether another gate stands behind. Then a path that is no route here is left to it, as Serve may
            have pages or a prefix of its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        callers: Callers,
        settings: Callable[[], IngressSettings],
        refused: Callable[[int], None],
        *,
        outer: bool = False,
    ) -> None:
        self._app = app
        self._callers = callers
        self._settings = settings
        self._refused = refused
        self._outer = outer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        if is_let_in(scope):
            await self._app(scope, receive, send)
            return
        path = _path(scope)
        route = route_of(scope["method"], path)
        extra = _OF_DOCS if path in DOCS else _OF_DATA

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        try:
            head = read_head(scope)
        except HeadTooLarge:
            await self._refuse(send_secured, TOO_MANY_HEADERS, Head([]))
            return
        leave = self._outer and route is None
        found = STRANGER if leave else self._judge(scope, path, route, head)
        if isinstance(found, Answer):
            await self._refuse(send_secured, found, head)
            return
        if not leave:
            let_in(scope, found)
        limit = self._limit(path, route, head)
        if limit is not None and head.length > limit:
            await self._refuse(send_secured, body_too_large(limit), head)
            return
        sender = send if leave else send_secured
        if limit is not None:
            refuse = partial(self._refuse, sender, body_too_large(limit), head)
            body = BoundedBody(receive, sender, limit, refuse)
            receive, sender = body.receive, body.send
        await self._pass(scope, receive, sender, found, route)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, caller: Caller, route: Route | None) -> None:
        """Hand a request on."""
        if caller.meter is None or route is None or not route.rows:
            await self._app(scope, receive, send)
            return
        token = METER.set(caller.meter)
        try:
            await self._app(scope, receive, send)
        finally:
            METER.reset(token)

    async def _refuse(self, send: Send, answer: Answer, head: Head) -> None:
        self._refused(answer.status)
        more = [(b"x-request-id", head.request_id)] if head.request_id else []
        if (head.is_chunked or head.length > MAX_UNASKED_BYTES) and _CLOSE not in answer.extra:
            more.append(_CLOSE)  # Nobody reads what may still come.
        await send_answer(send, answer, *more)

    def _judge(self, scope: Scope, path: str, route: Route | None, head: Head) -> Caller | Answer:
        """Return who sends a request, or the answer that refuses it."""
        if len(path) + len(scope["query_string"]) > MAX_URL_BYTES:
            return URL_TOO_LONG
        if path in DOCS and not self._settings().docs:
            return NOT_FOUND
        found = self._callers.judge(route, head.credentials)
        if isinstance(found, Answer) or found.everything:
            return found
        if route is None:
            methods = methods_of(path)
            return no_method(methods) if methods else NOT_FOUND
        if found.meter is not None:
            found.meter.share(head.sharers)
            try:
                found.meter.pay(1)
            except RateLimited as error:
                return refusal(error)
        return found

    def _limit(self, path: str, route: Route | None, head: Head) -> int | None:
        """Return how many bytes the body may have; None where what reads it has a bound of its own."""
        if path == _HOT and route is not None:
            return None
        settings = self._settings()
        if path == _BATCH and route is not None:
            if head.media_type.startswith(_STREAM):
                return None
            return settings.max_arrow_bytes if head.media_type.startswith(_ARROW) else settings.max_body_bytes
        if route is None:
            return max(settings.max_body_bytes, settings.max_arrow_bytes)
        return settings.max_body_bytes if route.rows else MAX_UNASKED_BYTES

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is no HTTP request: no route speaks WebSocket."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._app(scope, receive, send)


def _path(scope: Scope) -> str:
    """Return the path of a request below where the application is mounted."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path.removeprefix(root) if root else path
