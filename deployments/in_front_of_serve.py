"""Puts the hot route in front of Serve's own layers, in the HTTP server of an ingress replica.

Serve calls :func:`layers` where the environment variable ``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`` names it;
serve_config.yaml sets it for the ingress alone. Behind this layer each request passes two tasks for the client's
disconnection, a request id, a context, an access log line and per-request metrics, which together cost as much
as all the rest of the ingress. What of that is needed, a micro-batch does once: metrics
(:mod:`deployments.metrics`), the load for the autoscaler (:mod:`deployments.scaling`), bounds and deadlines.
"""

from ray import serve
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.ingress import Ingress


def layers() -> list[Middleware]:
    """Return what the HTTP server of this process wraps its application in."""
    return [Middleware(FrontLayer)]


class FrontLayer:
    """Answers as the hot route of this process's ingress, from the moment that there is one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._front: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._front is None:
            # The HTTP server begins before the ingress is built.
            ingress: object = serve.get_replica_context().servable_object
            if not isinstance(ingress, Ingress):
                await self._app(scope, receive, send)
                return
            self._front = ingress.in_front_of(self._app)
        await self._front(scope, receive, send)
