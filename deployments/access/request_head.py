"""The head of a request: bounds on it, the API key in it, and the headers that no client decides on."""

from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

MAX_HEADERS: Final = 100
"""Headers of one request; HAProxy's own bound is 101."""
MAX_HEADER_BYTES: Final = 16 * 1024
"""Names and values together. HAProxy takes 15 KB; this bounds those who reach a replica past it."""
MAX_URL_BYTES: Final = 4096
"""Path and query; the longest good one has some hundred bytes."""
MAX_REQUEST_ID_BYTES: Final = 128
MAX_SHARERS: Final = 4096
SHARERS: Final = "x-tollgate-replicas"
"""Header in which HAProxy says among how many ingress replicas it spreads requests."""

_BEARER: Final = b"bearer "
_CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key"})
_SERVES: Final = frozenset(
    {
        # Serve would end the request after so many seconds; at 0, never.
        b"x-request-timeout-seconds",
        # Serve would go on after the client has left.
        b"x-request-disconnect-disabled",
        # Serve would choose replicas by them, here and in each call that follows.
        b"serve_multiplexed_model_id",
        b"serve-multiplexed-model-id",
        b"x-session-id",
    }
)
_REQUEST_ID: Final = b"x-request-id"
_LENGTH: Final = b"content-length"
_TYPE: Final = b"content-type"
_CODING: Final = b"transfer-encoding"
_SHARERS: Final = SHARERS.encode()
_LOOKED_AT: Final = _CREDENTIALS | _SERVES | {_REQUEST_ID, _LENGTH, _CODING, _TYPE, _SHARERS}
_PRINTABLE: Final = bytes(range(0x21, 0x7F))


class HeadTooLarge(Exception):
    """The headers pass a bound."""


@dataclass(slots=True)
class Head:
    """What the head of a request says.

    Attributes:
        credentials: what was given as a key; it should be one at most.
        length: of the body, in bytes; 0 where none is told.
        is_chunked: whether the body comes in chunks, and so has no length that is known.
        media_type: of the body, in lower case, with its parameters; empty where none is told.
        request_id: the client's own name for the request, where it may be repeated; empty without one.
        sharers: ingress replicas among which requests are spread, as HAProxy says; 1 for what came past it.
    """

    credentials: list[bytes]
    length: int = 0
    is_chunked: bool = False
    media_type: bytes = b""
    request_id: bytes = b""
    sharers: int = 1


def read_head(scope: Scope) -> Head:
    """Return what the head of a request says, and take from it what no client decides on.

    Raises:
        HeadTooLarge: there are too many headers, or too long ones.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(headers) > MAX_HEADERS:
        raise HeadTooLarge
    head = Head([])
    size = 0
    drops = False
    for name, value in headers:
        size += len(name) + len(value)
        if name in _LOOKED_AT:
            drops |= _look(head, name, value)
    if size > MAX_HEADER_BYTES:
        raise HeadTooLarge
    if drops:
        scope["headers"] = [
            (name, value)
            for name, value in headers
            if name not in _SERVES and (name != _REQUEST_ID or value == head.request_id)
        ]
    return head


def _look(head: Head, name: bytes, value: bytes) -> bool:
    """Take one header into account; return whether the request goes on without it."""
    if name in _CREDENTIALS:
        head.credentials.append(value)
    elif name == _LENGTH:
        # The parser of the server has checked that it is a number.
        head.length = int(value)
    elif name == _TYPE:
        head.media_type = head.media_type or value.strip().lower()
    elif name == _CODING:
        head.is_chunked = True
    elif name == _REQUEST_ID:
        # It goes into answers and logs: printable, and not long. Serve fails on one that is no UTF-8.
        if len(value) > MAX_REQUEST_ID_BYTES or value.translate(None, _PRINTABLE):
            return True
        head.request_id = value
    elif name == _SHARERS:
        # HAProxy replaces what a client says; past it a client makes its own part smaller, never larger.
        head.sharers = min(max(1, int(value)), MAX_SHARERS) if value.isdigit() and len(value) < 5 else 1
    else:
        return True
    return False


def key_in(credential: bytes) -> bytes:
    """Return the key in a header, with or without ``Bearer``.

    >>> key_in(b"Bearer tg_a_b"), key_in(b"tg_a_b")
    (b'tg_a_b', b'tg_a_b')
    """
    return credential[len(_BEARER) :].strip() if credential[: len(_BEARER)].lower() == _BEARER else credential
