"""The Serve config that is deployed: the user's file, with this stack's HTTP address in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cluster.registry import ALIAS, MODEL
from cluster.settings import ClusterSettings
from features.errors import ClusterError
from features.yaml_text import parse_yaml


def config_to_deploy(settings: ClusterSettings) -> tuple[Path, dict[str, Any]]:
    """Return the file to deploy and its content.

    That is the user's file itself when it names the address of this stack, and otherwise a copy in the
    state folder that does.

    Raises:
        ClusterError: the file is missing, no YAML, or has no application.
    """
    content = read_config(settings.config)
    options = {"host": settings.host, "port": settings.ports.http}
    if {name: content.get("http_options", {}).get(name) for name in options} == options:
        return settings.config, content
    derived = content | {"http_options": content.get("http_options", {}) | options}
    path = settings.home / "serve_config.yaml"
    path.write_text(
        f"# Derived from {settings.config} for this stack's address; edit that file, not this one.\n"
        + yaml.safe_dump(derived, sort_keys=False)
    )
    return path, derived


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a Serve config file.

    Raises:
        ClusterError: the file is missing, no YAML, or has no application.
    """
    try:
        content = parse_yaml(path.read_text())
    except FileNotFoundError as error:
        raise ClusterError(f"There is no Serve config at {path}; give one with --config.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ClusterError(f"{path} is not YAML: {error}") from error
    if not isinstance(content, dict) or not content.get("applications"):
        raise ClusterError(f"{path} has no `applications`, so there is nothing to deploy.")
    return content


def serves_the_champion(content: Mapping[str, Any]) -> bool:
    """Return whether a config serves what ``champion`` names, and names no registry or folder of its own."""
    applications = content["applications"]
    arguments = [application.get("args") or {} for application in applications]
    deployments = [one for application in applications for one in application.get("deployments") or []]
    models = [(one.get("user_config") or {}).get("model") or {} for one in deployments]
    return not any(one.get("tracking_uri") or one.get("data_folder") for one in arguments) and all(
        (one.get("name", MODEL), one.get("alias", ALIAS)) == (MODEL, ALIAS) for one in models
    )


def check_config(path: Path) -> None:
    """Check a Serve config file more strictly than Serve does, which leaves out what it does not know.

    Raises:
        ClusterError: it has no application, or a key that nobody reads, or a value that nobody takes; names each.
    """
    # Imported here, as it takes Serve's schemas along.
    from deployments.config_lint import lint

    read_config(path)
    if problems := lint(path.read_text()):
        raise ClusterError("\n".join([f"{path} cannot be deployed:", *problems]))
