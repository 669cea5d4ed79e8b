"""What Serve is told about each HTTP request before it handles it; Serve imports this by its environment.

``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=deployments.http_front:middlewares``, on every node.

By default Serve reads the whole body of a request ahead, without a bound, to notice when the client goes away, and
ends each request after ``request_timeout_s``. For a stream of lines both are wrong: the whole file would be in
memory, and had better be short. Two headers of Serve switch both off. They are set here for such streams
alone, and taken from every other bulk request, as no client should decide on them.
"""

from typing import Final

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.media_types import NDJSON

_TIMEOUT: Final = b"x-request-timeout-seconds"
_NO_WATCH: Final = b"x-request-disconnect-disabled"
_STREAM: Final = NDJSON.encode()


def middlewares() -> list[Middleware]:
    """Return what Serve puts in front of its own handling of HTTP requests."""
    return [Middleware(StreamHeaders)]


class StreamHeaders:
    """Lets Serve hand the body of an NDJSON stream over as it comes, for as long as it takes."""

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
    return any(name == b"content-type" and value.lower().startswith(_STREAM) for name, value in headers)
