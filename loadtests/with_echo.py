"""Print a Serve config that holds Tollgate and, under /echo, the echo that its figures are ratios of.

    python -m loadtests.with_echo > with_echo.yaml && serve deploy with_echo.yaml

Deploying serve_config.yaml again removes the echo.
"""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml

FOLDER: Final = Path(__file__).resolve().parent
INGRESSES: Final = ("Ingress", "Fused", "Echo")


def with_echo(config: dict[str, Any], echo: dict[str, Any], ingress_replicas: int | None) -> dict[str, Any]:
    """Return a Serve config with the applications of both; all else is that of the first.

    Args:
        config: of Tollgate.
        echo: of the echo.
        ingress_replicas: hold both ingresses at so many replicas, so that autoscaling does not change what is
            compared in the middle; None: leave them as they are.
    """
    names = {application["name"] for application in echo["applications"]}
    own = [application for application in config["applications"] if application["name"] not in names]
    both = config | {"applications": [*own, *echo["applications"]]}
    if ingress_replicas is None:
        return both
    return both | {"applications": [_held(application, ingress_replicas) for application in both["applications"]]}


def _held(application: dict[str, Any], replicas: int) -> dict[str, Any]:
    deployments = []
    for deployment in application["deployments"]:
        if deployment["name"] in INGRESSES:
            kept = {key: value for key, value in deployment.items() if key != "autoscaling_config"}
            deployments.append(kept | {"num_replicas": replicas})
        else:
            deployments.append(deployment)
    return application | {"deployments": deployments}


def main(
    config: Annotated[Path, typer.Option(help="Serve config of Tollgate.")] = FOLDER.parent / "serve_config.yaml",
    ingress_replicas: Annotated[int, typer.Option(min=1, help="Replicas of either ingress.")] = 1,
) -> None:
    """Print a Serve config with Tollgate and the echo, each behind as many ingress replicas."""
    both = [yaml.safe_load(path.read_text()) for path in (config, FOLDER / "echo_config.yaml")]
    typer.echo(yaml.safe_dump(with_echo(both[0], both[1], ingress_replicas), sort_keys=False), nl=False)


if __name__ == "__main__":
    typer.run(main)
