"""Which scope opens which route: the one table. A path that is not in it opens to nobody."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deployments.access.keys import Scope


@dataclass(frozen=True, slots=True)
class Route:
    """What a route asks for.

    Attributes:
        scope: that a key must have; None: it answers everybody, and may say more to a key.
        rows: whether its body holds many transactions, which are paid for as they are decided, one by one.
    """

    scope: Scope | None
    rows: bool = False


ANY: Final = "*"
"""Stands in a pattern for the rest of a path, after its first segment."""

ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    ("POST", "/predict"): Route(Scope.SCORE),
    ("POST", "/predict/batch"): Route(Scope.SCORE, rows=True),
    ("GET", "/model"): Route(Scope.READ),
    ("GET", "/decisions/*"): Route(Scope.READ),
    ("POST", "/labels"): Route(Scope.ADMIN, rows=True),
    # A load balancer has no key. What is ready is told to it, what lies behind to readers alone.
    ("GET", "/health"): Route(None),
    ("GET", "/ready"): Route(None),
}
DOCS: Final = frozenset({"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"})
_DOCUMENT: Final = Route(None)


def route_of(method: str, path: str) -> Route | None:
    """Return what a route asks for; None where there is no such route.

    >>> route_of("GET", "/decisions/t-1").scope
    <Scope.READ: 'read'>
    >>> route_of("GET", "/decisions/") is None, route_of("PUT", "/predict") is None
    (True, True)
    """
    found = ROUTES.get((method, path))
    if found is not None:
        return found
    if method == "GET" and path in DOCS:
        return _DOCUMENT
    parts = path.split("/", 2)
    return ROUTES.get((method, f"/{parts[1]}/{ANY}")) if len(parts) == 3 and parts[2] else None


def methods_of(path: str) -> list[str]:
    """Return the methods that a path has.

    >>> methods_of("/predict"), methods_of("/nowhere")
    (['POST'], [])
    """
    return [method for method in ("GET", "POST") if route_of(method, path) is not None]
