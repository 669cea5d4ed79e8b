"""What the document of the API says of keys: how they are sent, and the scope that each operation asks for."""

from typing import Any, Final

from deployments.access.routes import route_of

SCHEMES: Final = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, as `tollgate keys create` shows it.",
    },
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, by itself."},
}


def document_keys(document: dict[str, Any], are_needed: bool) -> None:
    """Add to an OpenAPI document what each of its operations asks for.

    Args:
        document: of OpenAPI 3.1, where a requirement may name scopes under schemes of any type.
        are_needed: whether keys are in force; without them each operation is open, and says so.
    """
    document.setdefault("components", {})["securitySchemes"] = SCHEMES
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            route = route_of(method.upper(), path)
            assert route is not None, f"{method} {path} would open to nobody"
            scopes = [] if route.scope is None else [route.scope.value]
            keys: list[dict[str, list[str]]] = [{scheme: scopes} for scheme in SCHEMES]
            operation["security"] = keys if are_needed and scopes else [{}, *keys]
