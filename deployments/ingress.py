"""The ingress: HTTP in, HTTP out. FastAPI serves and documents the API; the hot route bypasses its layers."""

import asyncio
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from deployments.access.callers import Callers, caller_of
from deployments.access.documented import document_keys
from deployments.access.gate import Gate
from deployments.access.keys import Scope as KeyScope
from deployments.access.metering import MeteredDecider, pay_rows
from deployments.arrow_bulk import ArrowBulk
from deployments.bulk_document import BULK_ANSWERS, BULK_WORDS, bulk_body
from deployments.deadline import TimeLeft
from deployments.decision import Decisions
from deployments.errors import SAID, ErrorBody, ErrorResponse, FieldError, describe, invalid
from deployments.garbage import collect_seldom
from deployments.handles import Handle, hot_call, light, settled
from deployments.hot_route import Answer, Answerer, BodyTooLarge, HotRoute, read_body, too_large
from deployments.json_bulk import JsonBulk
from deployments.label_document import LABEL_ANSWERS, LABEL_WORDS, LabelResult, LabelsResponse, label_body
from deployments.labels import LabelIntake
from deployments.live_settings import LiveSettings
from deployments.media_types import ARROW, NDJSON
from deployments.metrics import AccessMetrics, BatchMetrics, LabelMetrics
from deployments.ndjson import NdjsonBulk
from deployments.responses import (
    EXAMPLE_DECISION,
    EXAMPLE_MODEL,
    EXAMPLE_REQUEST,
    EXAMPLE_RESPONSE,
    EXAMPLE_STATUS,
    BatchResponse,
    Prediction,
    error_json,
)
from deployments.scaling import BusyShare
from deployments.scoring import Scoring
from deployments.settings import IngressSettings
from deployments.status import Status, Uptime, decides, no_answer
from features.label import LabelBatch, LabelOutcome
from features.transaction import Transaction, TransactionBatch

_ACCESS_ERRORS: dict[int | str, dict[str, Any]] = {
    401: {"model": ErrorResponse, "description": "No API key, or none in force."},
    403: {"model": ErrorResponse, "description": "The key lacks the scope that this needs."},
    429: {"model": ErrorResponse, "description": "The key may send no more for now; retry after the pause named."},
}
_SERVER_ERRORS: dict[int | str, dict[str, Any]] = {
    500: {"model": ErrorResponse, "description": "A defect; it is logged."},
    503: {"model": ErrorResponse, "description": "Overloaded or unavailable; retry after the pause named."},
}
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorResponse, "description": "The body is not JSON."},
    409: {"model": ErrorResponse, "description": "The id was given with another body; details name the fields."},
    413: {"model": ErrorResponse, "description": "The body is too large."},
    422: {"model": ErrorResponse, "description": "A field breaks the contract; details name it."},
    **_ACCESS_ERRORS,
    **_SERVER_ERRORS,
}
_FIND = "find_decision"
_ITS_DECISION: dict[str, Any] = {
    "operationId": _FIND,
    "parameters": {"transaction_id": "$response.body#/transaction_id"},
    "description": "The decision as it is on record.",
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

    def __init__(self, router: Handle, features: Handle, log: Handle, callers: Callers | None = None) -> None:
        collect_seldom()
        self._callers = callers or Callers.of_this_replica()
        self._router = light(router)
        self._label_store = light(features)
        self._log = light(log)
        self._decide_batch = hot_call(self._router, "decide")
        self._settings = LiveSettings(IngressSettings)
        self._metrics = BatchMetrics()
        self._refused = AccessMetrics().refused
        self._scoring = Scoring(self._decide, IngressSettings(), self._metrics)
        metered = MeteredDecider(self._scoring)
        self._json_bulk = JsonBulk(metered, lambda: self._scoring.settings)
        self._arrow_bulk = ArrowBulk(metered, lambda: self._scoring.settings)
        self._ndjson_bulk = NdjsonBulk(metered, lambda: self._scoring.settings)
        self._labels = LabelIntake(self._take_labels, lambda: self._scoring.settings, LabelMetrics().taken)
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that the ingress lives in, once it is configured."""
        self._uptime = Uptime()
        self._busy = BusyShare()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return what the autoscaling policy goes by. Async, so that Serve asks on the event loop."""
        allowed_s = self._scoring.settings.max_wait_ms / 1000
        return self._busy.stats(self._metrics.longest_wait_s() / allowed_s)

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Take new bounds in place (:class:`IngressSettings`)."""
        self.loop = asyncio.get_running_loop()
        self._callers.watch()
        if self._settings.take(user_config):
            self._scoring.reconfigure(self._settings.value)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """Return the application; Serve calls it once, in the replica."""
        return self._fastapi()

    def in_front_of(self, app: ASGIApp) -> ASGIApp:
        """Return an application that lets requests in, and answers POST /predict itself."""
        hot = HotRoute(
            app,
            "/predict",
            self._scoring.predict,
            lambda: self._scoring.settings.max_body_bytes,
        )
        return Gate(hot, self._callers, lambda: self._scoring.settings, self._refused, outer=True)

    async def _decide(self, batch: TransactionBatch, include_features: bool, time: TimeLeft) -> Decisions:
        decisions: Decisions = await self._decide_batch.remote(batch, include_features, time)
        return decisions

    async def _take_labels(self, labels: LabelBatch) -> list[LabelOutcome]:
        pay_rows(len(labels))
        outcomes: list[LabelOutcome] = await self._label_store.take_labels.remote(labels)
        return outcomes

    async def _statuses(self) -> dict[str, Status]:
        own = self._uptime.status(True, "answers", self._settings.problem or self._callers.problem)
        parts, log = await settled(
            asyncio.wait_for(self._router.status.remote(), 3), asyncio.wait_for(self._log.status.remote(), 3)
        )
        if isinstance(parts, BaseException):
            parts = {"router": no_answer(parts)}
        return {
            **parts,
            "decision_log": no_answer(log) if isinstance(log, BaseException) else log,
            "ingress": own,
        }

    async def _respond(self, request: Request, answer: Answerer, limit: int) -> Response:
        try:
            body = await read_body(request.receive, limit)
        except BodyTooLarge:
            return _response(too_large(limit))
        if body is None:
            return Response(status_code=499)  # The client went away; nobody reads this.
        return _response(await answer(body, request.scope["query_string"]))

    def _fastapi(self) -> FastAPI:
        register_url_convertor("text", _AnyText())
        api = _Api(
            self._callers.need_keys,
            title="Tollgate",
            version=version("tollgate"),
            description="Decides, for every payment and before the money moves: APPROVE, REVIEW or BLOCK.",
            redirect_slashes=False,
        )
        api.add_middleware(
            Gate, callers=self._callers, settings=lambda: self._scoring.settings, refused=self._refused
        )
        api.add_exception_handler(HTTPException, _http_error)
        api.add_exception_handler(RequestValidationError, _invalid_request)
        for kind in (Exception, *SAID):
            api.add_exception_handler(kind, _error)

        @api.post(
            "/predict",
            summary="Decide one transaction",
            responses={
                200: {
                    "model": Prediction,
                    "content": {"application/json": {"example": EXAMPLE_RESPONSE}},
                    "links": {"decision": _ITS_DECISION},
                },
                **_ERRORS,
            },
            openapi_extra={"requestBody": _body(_schema(), EXAMPLE_REQUEST), "parameters": [_INCLUDE]},
        )
        async def predict(request: Request) -> Response:
            return await self._respond(request, self._scoring.predict, self._scoring.settings.max_body_bytes)

        @api.post(
            "/predict/batch",
            summary="Decide many transactions, in their order",
            description=BULK_WORDS,
            responses={200: {"model": BatchResponse, "content": BULK_ANSWERS}, **_ERRORS},
            openapi_extra={"requestBody": bulk_body(_schema()), "parameters": [_INCLUDE]},
        )
        async def predict_batch(request: Request) -> Response:
            settings = self._scoring.settings
            media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if media_type == NDJSON:
                return _Stream(self._ndjson_bulk)
            if media_type == ARROW:
                return await self._respond(request, self._arrow_bulk.answer, settings.max_arrow_bytes)
            # Clients send JSON under any name, or none.
            return await self._respond(request, self._json_bulk.answer, settings.max_body_bytes)

        @api.post(
            "/labels",
            summary="Say what became known of transactions",
            description=LABEL_WORDS,
            responses={
                200: {"model": LabelResult | LabelsResponse, "content": LABEL_ANSWERS},
                **_ERRORS,
                409: {"model": ErrorResponse, "description": "Another label contradicts merchant or time."},
            },
            openapi_extra={"requestBody": label_body()},
        )
        async def labels(request: Request) -> Response:
            return await self._respond(request, self._labels.answer, self._scoring.settings.max_body_bytes)

        @api.get(
            "/decisions/{transaction_id:text}",
            operation_id=_FIND,
            summary="The decision on a transaction, with all that it came from",
            description="Looks through the last 31 days; `day`, of the decision in UTC, looks at that day alone.",
            responses={
                **_example(EXAMPLE_DECISION),
                404: {"model": ErrorResponse, "description": "No decision on this id is on record."},
                422: {"model": ErrorResponse, "description": "The day is none."},
                **_SERVER_ERRORS,
            },
        )
        async def decision(
            transaction_id: Annotated[str, PathParameter(max_length=64)], day: str | None = None
        ) -> JSONResponse:
            return JSONResponse(await self._log.find.remote(transaction_id, day))

        @api.get("/health", summary="Liveness of this replica", responses=_example({"status": "alive"}))
        async def health() -> dict[str, str]:
            return {"status": "alive"}

        @api.get(
            "/ready",
            summary="Readiness; to a key with the scope read each dependency by name",
            responses={
                **_example({"ready": True, "dependencies": {"feature_store": EXAMPLE_STATUS}}),
                503: {"description": "A dependency that decisions wait for does not serve; the same shape."},
            },
        )
        async def ready(request: Request) -> JSONResponse:
            statuses = await self._statuses()
            is_ready = decides(statuses)
            content: dict[str, Any] = {"ready": is_ready}
            if caller_of(request.scope).may(KeyScope.READ):
                content["dependencies"] = statuses
            return JSONResponse(content, 200 if is_ready else 503)

        @api.get(
            "/model",
            summary="The served bundle and the policy over it",
            responses={**_example(EXAMPLE_MODEL), **_ACCESS_ERRORS, **_SERVER_ERRORS},
        )
        async def model() -> JSONResponse:
            return JSONResponse(await self._router.model.remote())

        return api


class _Api(FastAPI):
    """The application, whose document says what keys its operations ask for."""

    def __init__(self, keys_are_needed: bool, **options: Any) -> None:
        super().__init__(**options)
        self._keys_are_needed = keys_are_needed

    def openapi(self) -> dict[str, Any]:
        """Return the document; it is made once."""
        is_made = self.openapi_schema is not None
        document = super().openapi()
        if not is_made:
            document_keys(document, self._keys_are_needed)
        return document


class _AnyText(StringConvertor):
    """A parameter of a path that may hold slashes and line ends."""

    regex = "(?s:.*)"


class _Stream(Response):
    """Lets a road of its own answer: it reads and sends at the same time."""

    def __init__(self, road: ASGIApp) -> None:
        super().__init__()
        self._road = road

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._road(scope, receive, send)


def _schema() -> dict[str, Any]:
    return Transaction.model_json_schema()


def _body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _example(example: Any) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"example": example}}}}


def _response(answer: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers()}
    return Response(answer.body, answer.status, headers)


async def _http_error(_: Request, error: Exception) -> Response:
    """Answer unknown routes and methods in the one error shape."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "http_error")
    body = ErrorBody(code=code, message=str(error.detail))
    return JSONResponse({"error": body.model_dump()}, error.status_code, headers=dict(error.headers or {}))


async def _invalid_request(_: Request, error: Exception) -> Response:
    """Answer what FastAPI itself finds wrong with path or query, in the one error shape."""
    assert isinstance(error, RequestValidationError)
    faults = [
        FieldError(field=".".join(str(part) for part in fault["loc"])[:64], message=fault["msg"])
        for fault in error.errors()
    ]
    return _response(Answer(422, error_json(invalid(faults, "invalid_request"))))


async def _error(_: Request, error: Exception) -> Response:
    """Answer what a route raised in the one error shape; Starlette logs what is a defect."""
    status, body = describe(error)
    return _response(Answer(status, error_json(body)))
