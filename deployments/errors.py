"""The one error shape of the API, and the one table from error to HTTP status."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from features.errors import (
    DeadlineExceeded,
    InvalidTransaction,
    OnlineStoreUnavailable,
    Overloaded,
    RegistryUnavailable,
    TollgateError,
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
    Overloaded: (503, "overloaded"),
    DeadlineExceeded: (503, "overloaded"),
    OnlineStoreUnavailable: (503, "unavailable"),
    RegistryUnavailable: (503, "unavailable"),
    TollgateError: (500, "internal"),
    RayError: (503, "unavailable"),
    RayServeException: (503, "unavailable"),
}

HANDLED: Final = (TollgateError, RayError, RayServeException, ValidationError)
"""What :func:`describe` understands."""


def describe(error: Exception) -> tuple[int, ErrorBody]:
    """Return HTTP status and body of an error."""
    if isinstance(error, ValidationError):
        return _describe_validation(error)
    for kind in type(error).__mro__:
        if kind in STATUS:
            status, code = STATUS[kind]
            break
    else:
        status, code = 500, "internal"
    if isinstance(error, InvalidTransaction):
        return status, invalid([FieldError(field=error.field, message=error.message)])
    message = str(error) if isinstance(error, TollgateError) else "a part of the service did not answer; retry"
    return status, ErrorBody(code=code, message=message)


def invalid(details: Sequence[FieldError]) -> ErrorBody:
    """Return the error of a transaction whose fields break the contract."""
    words = "; ".join(f"{d.field}: {d.message}" for d in details)
    return ErrorBody(code="invalid_transaction", message=words, details=list(details))


def field_errors(error: ValidationError, skip: int = 0) -> list[FieldError]:
    """Return the faults of a validation, a field each; ``skip`` leading parts of the location are left out."""
    found: list[FieldError] = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        field = ".".join(str(part) for part in item["loc"][skip:]) or "body"
        # An unknown field's name is the client's own text: enough of it to recognise.
        found.append(FieldError(field=field[:64], message=_message(item["type"], item["msg"])))
    return found


def _message(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not a field of a transaction"
    if kind == "missing":
        return "is required"
    return message[:1].lower() + message[1:]


def _describe_validation(error: ValidationError) -> tuple[int, ErrorBody]:
    kinds: list[Any] = [item["type"] for item in error.errors(include_url=False, include_input=False)]
    details = field_errors(error)
    if "json_invalid" in kinds:
        return 400, ErrorBody(code="invalid_json", message=details[0].message, details=details)
    return 422, invalid(details)
