"""The ingress: HTTP in, HTTP out. FastAPI serves and documents the API; the hot route bypasses its layers."""

import asyncio
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from deployments.decision import Decisions
from deployments.errors import HANDLED, ErrorBody, ErrorResponse, describe
from deployments.hot_route import Answer, Answerer, BodyTooLarge, HotRoute, read_body, too_large
from deployments.responses import EXAMPLE_REQUEST, EXAMPLE_RESPONSE, BatchResponse, Prediction
from deployments.router import light, settled
from deployments.scoring import Scoring
from deployments.settings import IngressSettings
from deployments.status import Status, Uptime, no_answer
from features.transaction import Transaction, TransactionBatch

_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "The body is not JSON."},
    413: {"model": ErrorResponse, "description": "The body is too large."},
    422: {"model": ErrorResponse, "description": "A field breaks the contract; details name it."},
    503: {"model": ErrorResponse, "description": "Overloaded or unavailable; retry after the pause named."},
}
_INCLUDE: dict[str, Any] = {
    "name": "include",
    "in": "query",
    "required": False,
    "description": "'features' adds the feature vector to the answer.",
    "schema": {"type": "string", "enum": ["features"]},
}


class Ingress:
    """Validates requests, forms micro-batches, and sends each through the graph once."""

    def __init__(self, router: DeploymentHandle[Any]) -> None:
        self._router = light(router)
        self._scoring = Scoring(self._decide, IngressSettings())
        self._uptime = Uptime()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new bounds in place (:class:`IngressSettings`)."""
        self._scoring.reconfigure(IngressSettings.model_validate(user_config))

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the application; Serve calls it once, in the replica."""
        return HotRoute(
            self._fastapi(),
            "/predict",
            self._scoring.predict,
            lambda: self._scoring.settings.max_body_bytes,
        )

    async def _decide(self, batch: TransactionBatch, include_features: bool) -> Decisions:
        decisions: Decisions = await self._router.decide.remote(batch, include_features)
        return decisions

    async def _statuses(self) -> dict[str, Status]:
        own = self._uptime.status(True, "answers")
        [parts] = await settled(asyncio.wait_for(self._router.status.remote(), 3))
        if isinstance(parts, BaseException):
            parts = {"router": no_answer(parts)}
        return {**parts, "ingress": own}

    async def _respond(self, request: Request, answer: Answerer) -> Response:
        limit = self._scoring.settings.max_body_bytes
        try:
            body = await read_body(request.receive, limit)
        except BodyTooLarge:
            return _response(too_large(limit))
        return _response(await answer(body or b"", request.scope["query_string"]))

    def _fastapi(self) -> FastAPI:
        api = FastAPI(
            title="Tollgate",
            version=version("tollgate"),
            description="Decides, for every payment and before the money moves: APPROVE, REVIEW or BLOCK.",
        )
        api.add_exception_handler(HTTPException, _http_error)

        @api.post(
            "/predict",
            summary="Decide one transaction",
            responses={
                200: {"model": Prediction, "content": {"application/json": {"example": EXAMPLE_RESPONSE}}},
                **_ERRORS,
            },
            openapi_extra={"requestBody": _body(_schema(), EXAMPLE_REQUEST), "parameters": [_INCLUDE]},
        )
        async def predict(request: Request) -> Response:
            return await self._respond(request, self._scoring.predict)

        @api.post(
            "/predict/batch",
            summary="Decide many transactions, in their order",
            responses={200: {"model": BatchResponse}, **_ERRORS},
            openapi_extra={
                "requestBody": _body({"type": "array", "items": _schema()}, [EXAMPLE_REQUEST]),
                "parameters": [_INCLUDE],
            },
        )
        async def predict_batch(request: Request) -> Response:
            return await self._respond(request, self._scoring.predict_batch)

        @api.get("/health", summary="Liveness of this replica")
        async def health() -> dict[str, str]:
            return {"status": "alive"}

        @api.get("/ready", summary="Readiness, each dependency by name")
        async def ready() -> JSONResponse:
            statuses = await self._statuses()
            is_ready = all(status["ok"] for status in statuses.values())
            return JSONResponse({"ready": is_ready, "dependencies": statuses}, 200 if is_ready else 503)

        @api.get("/model", summary="The served bundle: version, metrics, fingerprint, features", responses=_ERRORS)
        async def model() -> JSONResponse:
            try:
                return JSONResponse(await self._router.model.remote())
            except HANDLED as error:
                status, body = describe(error)
                return JSONResponse({"error": body.model_dump()}, status)

        return api


def _schema() -> dict[str, Any]:
    return Transaction.model_json_schema()


def _body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _response(answer: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers()}
    return Response(answer.body, answer.status, headers)


async def _http_error(_: Request, error: Exception) -> Response:
    """Answer unknown routes and methods in the one error shape."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    body = ErrorBody(code=code, message=str(error.detail))
    return JSONResponse({"error": body.model_dump()}, error.status_code, headers=dict(error.headers or {}))
