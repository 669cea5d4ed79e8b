"""The one error shape of the API, and the one table from error to HTTP status."""

from collections.abc import Sequence
from typing import Final

from grpc.aio import AioRpcError  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from features.errors import (
    BundleRefused,
    DeadlineExceeded,
    DecisionNotRecorded,
    DecisionUnknown,
    InvalidLabel,
    InvalidStream,
    InvalidTransaction,
    LabelConflict,
    OnlineStoreUnavailable,
    Overloaded,
    RateLimited,
    RegistryUnavailable,
    TollgateError,
    TransactionConflict,
)


class FieldError(BaseModel):
    """What is wrong with one field, and what was expected."""

    field: str
    message: str


class ErrorBody(BaseModel):
    """One error: a stable code for programs, a sentence for people, and the fields at fault."""

    code: str
    message: str
    details: list[FieldError] = []


class ErrorResponse(BaseModel):
    """The body of every answer that is not a success."""

    error: ErrorBody


RETRY_AFTER_S: Final = 1
"""What Retry-After says with 503: queues drain in far less than a second."""

STATUS: Final[dict[type[Exception], tuple[int, str]]] = {
    InvalidTransaction: (422, "invalid_transaction"),
    TransactionConflict: (409, "transaction_conflict"),
    DecisionUnknown: (404, "not_found"),
    InvalidLabel: (422, "invalid_label"),
    LabelConflict: (409, "label_conflict"),
    InvalidStream: (400, "invalid_arrow"),
    RateLimited: (429, "rate_limited"),
    Overloaded: (503, "overloaded"),
    DeadlineExceeded: (503, "overloaded"),
    DecisionNotRecorded: (503, "unavailable"),
    OnlineStoreUnavailable: (503, "unavailable"),
    RegistryUnavailable: (503, "unavailable"),
    BundleRefused: (503, "unavailable"),
    TollgateError: (500, "internal"),
    RayError: (503, "unavailable"),
    BackPressureError: (503, "overloaded"),
    RayServeException: (503, "unavailable"),
    AioRpcError: (503, "unavailable"),
    TimeoutError: (503, "unavailable"),
}

MAX_FAULTS: Final = 16
"""Faults of one transaction that are listed one by one; it has 12 fields."""

NO_ARRAY: Final = "must be a JSON array of at least one transaction"
UNEXPECTED: Final = ErrorBody(code="internal", message="an unexpected error; it is logged")

CALL_FAILED: Final = (RayError, RayServeException, AioRpcError, TimeoutError)
"""What a call of a deployment raises when the replica, or the way to it, is gone. Serve turns most of what gRPC
says into errors of Ray; what a connection that breaks during the call raises, it passes on as it is."""

SAID: Final = (TollgateError, *CALL_FAILED)
"""What another replica raises on purpose, or passes on of a call of its own; anything else is a defect there."""

HANDLED: Final = (*SAID, ValidationError)
"""What :func:`describe` understands."""


def describe(error: Exception) -> tuple[int, ErrorBody]:
    """Return HTTP status and body of an error."""
    if isinstance(error, ValidationError):
        return _describe_validation(error)
    if isinstance(error, RayTaskError):
        # Ray's own message would be the stack of the replica, which is not for the client.
        cause = error.cause
        return describe(cause) if isinstance(cause, SAID) else (500, UNEXPECTED)
    for kind in type(error).__mro__:
        if kind in STATUS:
            status, code = STATUS[kind]
            break
    else:
        return 500, UNEXPECTED
    if isinstance(error, InvalidTransaction | InvalidLabel):
        return status, invalid([FieldError(field=error.field, message=error.message)], code)
    if isinstance(error, TransactionConflict):
        faults = [FieldError(field=name, message="differs from what this id stands for") for name in error.fields]
        return status, ErrorBody(code=code, message=str(error), details=faults)
    if isinstance(error, InvalidStream):
        fault = FieldError(field="body", message=str(error))
        return status, ErrorBody(code=code, message=f"body: {error}", details=[fault])
    message = (
        str(error) if isinstance(error, TollgateError) else "a part of the service did not answer in time; retry"
    )
    return status, ErrorBody(code=code, message=message)


def invalid(details: Sequence[FieldError], code: str = "invalid_transaction") -> ErrorBody:
    """Return the error of a transaction, or of what the code says, whose fields break the contract."""
    words = "; ".join(f"{d.field}: {d.message}" for d in details)
    return ErrorBody(code=code, message=words, details=list(details))


def field_errors(error: ValidationError, thing: str = "transaction") -> list[FieldError]:
    """Return the faults of a validation of what ``thing`` names, a field each.

    A body can have a million faults, and to list them would take a minute: past ``MAX_FAULTS`` they are counted.
    """
    if error.error_count() > MAX_FAULTS:
        return [FieldError(field="body", message=f"has {error.error_count()} faults, too many to list")]
    found: list[FieldError] = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in item["loc"]) or "body"
        # An unknown field's name is the client's own text: enough of it to recognise.
        found.append(FieldError(field=field[:64], message=_message(item["type"], item["msg"], thing)))
    return found


def _message(kind: str, message: str, thing: str) -> str:
    if kind == "extra_forbidden":
        return f"is not a field of a {thing}"
    if kind == "missing":
        return "is required"
    if kind in ("model_type", "model_attributes_type"):
        return "must be an object"
    if kind == "list_type":
        return NO_ARRAY
    return message[:1].lower() + message[1:]


def _describe_validation(error: ValidationError) -> tuple[int, ErrorBody]:
    details = field_errors(error)
    # Broken JSON is one fault, and the only one.
    if (
        error.error_count() == 1
        and error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid"
    ):
        return 400, ErrorBody(code="invalid_json", message=details[0].message, details=details)
    return 422, invalid(details)
