"""One table from error to status, one shape, and nothing of the inside in it."""

import traceback

import pytest
from grpc import StatusCode  # type: ignore[import-untyped]
from grpc.aio import AioRpcError, Metadata  # type: ignore[import-untyped]
from pydantic import TypeAdapter, ValidationError
from ray.exceptions import ActorDiedError, RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from deployments.errors import HANDLED, MAX_FAULTS, describe
from features.errors import (
    BundleRefused,
    DeadlineExceeded,
    InvalidRule,
    InvalidTransaction,
    OnlineStoreUnavailable,
    Overloaded,
    RegistryUnavailable,
    TollgateError,
)
from features.transaction import Transaction


def raised(value: object, text: str | None = None) -> ValidationError:
    """Return what validation says of a value, or of a text that should be JSON."""
    adapter = TypeAdapter(Transaction)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(value) if text is None else adapter.validate_json(text)
    return caught.value


def remote(cause: Exception) -> RayTaskError:
    """Return an error as Ray raises it when a replica raised ``cause``."""
    try:
        raise cause
    except type(cause):
        plain = RayTaskError("decide", traceback.format_exc(), cause)  # type: ignore[no-untyped-call]
        error = plain.as_instanceof_cause()  # type: ignore[no-untyped-call]
    assert isinstance(error, RayTaskError)
    return error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidTransaction("amount", "must be more"), 422, "invalid_transaction"),
        (Overloaded("full"), 503, "overloaded"),
        (DeadlineExceeded("late"), 503, "overloaded"),
        (OnlineStoreUnavailable("gone"), 503, "unavailable"),
        (RegistryUnavailable("gone"), 503, "unavailable"),
        (BundleRefused("none yet"), 503, "unavailable"),
        (InvalidRule("bad"), 500, "internal"),
        (TollgateError("else"), 500, "internal"),
        (BackPressureError(9, 8), 503, "overloaded"),
        (RayServeException("x"), 503, "unavailable"),
        (RayError("x"), 503, "unavailable"),
        (ActorDiedError(), 503, "unavailable"),
        (TimeoutError(), 503, "unavailable"),
        (AioRpcError(StatusCode.CANCELLED, Metadata(), Metadata()), 503, "unavailable"),
    ],
)
def test_each_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    assert isinstance(error, HANDLED)
    got, body = describe(error)
    assert (got, body.code) == (status, code)
    assert body.message


@pytest.mark.parametrize(
    ("cause", "status", "code"),
    [
        (Overloaded("full"), 503, "overloaded"),
        (BundleRefused("no bundle is loaded yet"), 503, "unavailable"),
        (BackPressureError(9, 8), 503, "overloaded"),
        (RayServeException("gone"), 503, "unavailable"),
        (AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), "secret"), 503, "unavailable"),
        (TimeoutError("secret"), 503, "unavailable"),
        (KeyError("secret"), 500, "internal"),
        (ValueError("secret"), 500, "internal"),
        (raised({}), 500, "internal"),
    ],
)
def test_what_another_replica_raised_is_told_like_its_cause_and_without_its_stack(
    cause: Exception, status: int, code: str
) -> None:
    error = remote(cause)
    assert isinstance(error, HANDLED)
    got, body = describe(error)
    assert (got, body.code) == (status, code)
    assert "Traceback" not in body.message
    assert "File" not in body.message
    assert "secret" not in body.message


def test_an_unexpected_error_says_nothing_of_itself() -> None:
    status, body = describe(RuntimeError("secret"))
    assert (status, body.code) == (500, "internal")
    assert "secret" not in body.model_dump_json()


def test_the_words_of_our_own_errors_reach_the_client() -> None:
    assert describe(Overloaded("7 wait already"))[1].message == "7 wait already"


def test_an_invalid_transaction_names_its_field() -> None:
    _, body = describe(InvalidTransaction("lat", "is required with long"))
    assert body.model_dump() == {
        "code": "invalid_transaction",
        "message": "lat: is required with long",
        "details": [{"field": "lat", "message": "is required with long"}],
    }


def test_a_validation_names_every_field_in_plain_words() -> None:
    status, body = describe(raised({"customer_id": "c", "amount": -1, "amonut": 3}))
    assert status == 422
    assert {detail.field: detail.message for detail in body.details} == {
        "timestamp": "is required",
        "amount": "input should be greater than 0",
        "amonut": "is not a field of a transaction",
    }
    assert "amonut: is not a field" in body.message


def test_what_is_no_object_at_all_is_told_of_the_body() -> None:
    assert describe(raised(3))[1].message == "body: must be an object"
    assert describe(raised(None, "[]"))[1].message == "body: must be an object"


def test_broken_json_is_400() -> None:
    status, body = describe(raised(None, "{"))
    assert (status, body.code, [detail.field for detail in body.details]) == (400, "invalid_json", ["body"])


def test_the_name_of_an_unknown_field_is_cut() -> None:
    details = describe(raised({"x" * 1000: 1}))[1].details
    assert max(len(detail.field) for detail in details) == 64


def test_more_faults_than_a_person_reads_are_counted_and_not_listed() -> None:
    few = describe(raised({f"unknown_{n}": 1 for n in range(MAX_FAULTS - 3)}))[1]
    assert len(few.details) == MAX_FAULTS
    many = describe(raised({f"unknown_{n}": 1 for n in range(MAX_FAULTS - 2)}))[1]
    assert [(d.field, d.message) for d in many.details] == [
        ("body", f"has {MAX_FAULTS + 1} faults, too many to list")
    ]
