"""The Serve configs of the project, and what the linter says of them after a change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import yaml

from deployments.config_lint import lint

TEXT = Path(__file__).parents[2].joinpath("serve_config.yaml").read_text()


FUSED = Path(__file__).parents[2].joinpath("serve_config.fused.yaml").read_text()


PLACEMENTS: tuple[Literal["distributed", "fused"], ...] = ("distributed", "fused")


Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> list[str]:
    """Return what the linter says of the project's config after a change."""
    config = yaml.safe_load(TEXT)
    change(config)
    return lint(yaml.safe_dump(config))


def deployments(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {deployment["name"]: deployment for deployment in config["applications"][0]["deployments"]}


def at(config: dict[str, Any], *path: str | int) -> Any:
    """Return what lies under a path of keys and positions; what is not there yet is made."""
    value: Any = config
    for part in path:
        if isinstance(part, str) and part not in value:
            value[part] = {}
        value = value[part]
    return value
