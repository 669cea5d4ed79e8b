"""The yardstick: a FastAPI application that returns the body it was sent, served the way Tollgate is.

Same HTTP proxy, same ingress replica, same machine, and nothing to decide. What Tollgate takes more than this is
what the decision costs; a figure in requests a second means little without it.
"""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp


def build(_: dict[str, str]) -> Application:
    """Return the echo application."""
    deployment: Any = serve.deployment(name="Echo")(serve.ingress()(Echo))
    application: Application = deployment.bind()
    return application


class Echo:
    """Answers POST /predict with the request's own body."""

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the application; Serve calls it once, in the replica."""
        api = FastAPI(title="Echo")

        @api.post("/predict")
        async def predict(request: Request) -> Response:
            return Response(await request.body(), media_type="application/json")

        return api
