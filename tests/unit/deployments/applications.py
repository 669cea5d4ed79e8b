"""The graph as it is built, looked into."""

from typing import Any


def arguments(application: Any, name: str) -> tuple[Any, ...]:
    """Returns what a deployment of the graph is made with."""
    found = application._bound_deployment
    if found.name == name:
        return tuple(found.init_args)
    inner = [one for one in found.init_args if hasattr(one, "_bound_deployment")]
    return next((given for one in inner if (given := arguments(one, name))), ())
