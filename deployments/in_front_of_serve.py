"""What the HTTP server of an ingress replica does in front of Serve's own layers.

Serve calls :func:`layers` where the environment variable ``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`` names it;
serve_config.yaml sets it for the ingress alone.

POST /predict is answered here, as a whole. Behind it each request passes two tasks for the client's
disconnection, a request id, a context, an access log line and per-request metrics, which together cost as much
as all the rest of the ingress. What of that is needed, a micro-batch does once: metrics
(:mod:`deployments.metrics`), the load for the autoscaler (:mod:`deployments.scaling`), bounds and deadlines.

Streams of lines pass, but with two headers of Serve. Serve reads the whole body of a request ahead, without a
bound, to notice when the client goes away, and ends each request after ``request_timeout_s``; for a stream both
are wrong: the whole file would be in memory, and had better be short.
"""

import asyncio
from typing import Final

from ray import serve
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.http_protocol import use_protocol
from deployments.ingress import Ingress
from deployments.media_types import NDJSON

_TIMEOUT: Final = b"x-request-timeout-seconds"
_NO_WATCH: Final = b"x-request-disconnect-disabled"
_STREAM: Final = NDJSON.encode()


def layers() -> list[Middleware]:
    """Return what the HTTP server of this process wraps its application in, from the inside out.

    Serve asks before it makes that server, so this is also where the server's protocol is chosen.
    """
    use_protocol()
    return [Middleware(StreamHeaders), Middleware(FrontLayer)]


class FrontLayer:
    """Answers as the hot route of this process's ingress, from the moment that there is one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._front: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._front is None:
            # The HTTP server begins before the ingress is built; and without RAY_SERVE_THROUGHPUT_OPTIMIZED the
            # ingress lives in another loop than the server, where only Serve's own layers reach it.
            ingress: object = serve.get_replica_context().servable_object
            if not isinstance(ingress, Ingress) or ingress.loop not in (None, asyncio.get_running_loop()):
                await self._app(scope, receive, send)
                return
            self._front = ingress.in_front_of(self._app)
        await self._front(scope, receive, send)


class StreamHeaders:
    """Lets Serve hand the body of an NDJSON stream over as it comes, for as long as it takes.

    The headers that say so are set for such streams alone; the gate has taken them from every request, as no
    client should decide on them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/predict/batch"):
            headers = [header for header in scope["headers"] if header[0] not in (_TIMEOUT, _NO_WATCH)]
            if is_stream(headers):
                headers += [(_TIMEOUT, b"0"), (_NO_WATCH, b"?1")]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


def is_stream(headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether the body of a request is a stream of lines."""
    return any(name == b"content-type" and value.strip().lower().startswith(_STREAM) for name, value in headers)
