"""Print a Serve config that holds Tollgate and, under /echo, the echo that its figures are ratios of.

    python -m loadtests.with_echo > with_echo.yaml && serve deploy with_echo.yaml

Deploying serve_config.yaml again removes the echo.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

FOLDER: Final = Path(__file__).resolve().parent
INGRESSES: Final = ("Ingress", "Fused", "Echo")
DEADLINE_MS: Final = 2000
"""Deadline of a decision while it is measured. On a machine that shares its cores with the client, some decisions
at high concurrency take longer than 100 ms: they would be degraded, which costs less than a whole decision."""


def with_echo(
    config: dict[str, Any], echo: dict[str, Any], ingress_replicas: int | None, deadline_ms: float | None = None
) -> dict[str, Any]:
    """Return a Serve config with the applications of both; all else is that of the first.

    Args:
        config: of Tollgate.
        echo: of the echo.
        ingress_replicas: hold both ingresses at so many replicas, so that autoscaling does not change what is
            compared in the middle; None: leave them as they are.
        deadline_ms: of a decision; None: leave it as it is.
    """
    names = {application["name"] for application in echo["applications"]}
    own = [application for application in config["applications"] if application["name"] not in names]
    if deadline_ms is not None:
        own = patient({"applications": own}, deadline_ms)["applications"]
    both = [*own, *echo["applications"]]
    held = both if ingress_replicas is None else [_each(one, partial(_held, ingress_replicas)) for one in both]
    return config | {"applications": held}


def patient(config: dict[str, Any], deadline_ms: float) -> dict[str, Any]:
    """Return a Serve config whose ingresses have this deadline."""
    return config | {
        "applications": [_each(one, partial(_patient, deadline_ms)) for one in config["applications"]]
    }


def _each(application: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Return an application with its ingress changed, whichever that is."""
    deployments = [change(one) if one["name"] in INGRESSES else one for one in application["deployments"]]
    return application | {"deployments": deployments}


def _held(replicas: int, ingress: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in ingress.items() if key != "autoscaling_config"} | {
        "num_replicas": replicas
    }


def _patient(deadline_ms: float, ingress: dict[str, Any]) -> dict[str, Any]:
    """Return an ingress with this deadline, which the fused one has in its section of that name."""
    given = ingress.get("user_config", {})
    deadline = {"deadline_ms": deadline_ms}
    if ingress["name"] == "Fused":
        return ingress | {"user_config": given | {"ingress": given.get("ingress", {}) | deadline}}
    return ingress | {"user_config": given | deadline}


def main(
    config: Annotated[Path, typer.Option(help="Serve config of Tollgate.")] = FOLDER.parent / "serve_config.yaml",
    ingress_replicas: Annotated[int, typer.Option(min=1, help="Replicas of either ingress.")] = 1,
    deadline_ms: Annotated[float, typer.Option(min=1, help="Deadline of a decision.")] = DEADLINE_MS,
) -> None:
    """Print a Serve config with Tollgate and the echo, each behind as many ingress replicas."""
    both = [yaml.safe_load(path.read_text()) for path in (config, FOLDER / "echo_config.yaml")]
    typer.echo(
        yaml.safe_dump(with_echo(both[0], both[1], ingress_replicas, deadline_ms), sort_keys=False), nl=False
    )


if __name__ == "__main__":
    typer.run(main)
