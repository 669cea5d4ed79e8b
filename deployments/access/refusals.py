"""The answers to requests that are not let in, in the one error shape."""

from typing import Final

from deployments.access.keys import Scope
from deployments.errors import ErrorBody
from deployments.hot_route import Answer, too_large
from deployments.responses import error_json

_CHALLENGE: Final = b'Bearer realm="tollgate"'
_CLOSE: Final = ((b"connection", b"close"),)
"""Where more may follow that nobody wants to read."""

NO_KEY: Final = Answer(
    401,
    error_json(
        ErrorBody(code="unauthorized", message="an API key is needed: send `Authorization: Bearer <key>`, once")
    ),
    extra=((b"www-authenticate", _CHALLENGE),),
)
NOT_FOUND: Final = Answer(404, error_json(ErrorBody(code="not_found", message="Not Found")))
TOO_MANY_HEADERS: Final = Answer(
    431,
    error_json(ErrorBody(code="headers_too_large", message="the request has too many headers, or too long ones")),
    extra=_CLOSE,
)
URL_TOO_LONG: Final = Answer(
    414, error_json(ErrorBody(code="url_too_long", message="the address of the request is too long")), extra=_CLOSE
)


def wrong_key(message: str) -> Answer:
    """Return the answer to a key that is none, or none any more."""
    return Answer(
        401,
        error_json(ErrorBody(code="unauthorized", message=message)),
        extra=((b"www-authenticate", _CHALLENGE + b', error="invalid_token"'),),
    )


def lacks_scope(key_id: str, scope: Scope) -> Answer:
    """Return the answer to a key that may not do this."""
    message = f"the key {key_id} lacks the scope {scope.value}"
    challenge = _CHALLENGE + b', error="insufficient_scope", scope="%s"' % scope.value.encode()
    return Answer(
        403, error_json(ErrorBody(code="forbidden", message=message)), extra=((b"www-authenticate", challenge),)
    )


def no_method(methods: list[str]) -> Answer:
    """Return the answer to a path that has other methods."""
    body = ErrorBody(code="method_not_allowed", message="Method Not Allowed")
    return Answer(405, error_json(body), extra=((b"allow", ", ".join(methods).encode()),))


def body_too_large(limit: int) -> Answer:
    """Return the answer to a body past its bound; the connection ends, as the rest of the body is not read."""
    answer = too_large(limit)
    return Answer(answer.status, answer.body, extra=_CLOSE)
