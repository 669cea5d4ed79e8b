"""Finds in a Serve config what Serve itself would pass over in silence, before it is deployed.

Serve ignores most keys that it does not know, so that a misspelt bound is no bound. Here every key at every level
must be one of Serve's own schemas, every ``user_config`` must be what its deployment takes, and the settings
that Ray Serve leaves open at a price must be made.
"""

import re
import types
import typing
import warnings
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError
from ray.runtime_env import RuntimeEnv
from ray.serve.config import AutoscalingConfig, AutoscalingPolicy
from ray.serve.schema import ServeApplicationSchema, ServeDeploySchema

from deployments.rules import compile_rules
from deployments.scaling import ByBusyShare
from deployments.settings import (
    AppArgs,
    FusedSettings,
    IngressSettings,
    LogSettings,
    ModelSettings,
    PolicySettings,
    Settings,
    StoreSettings,
)
from features.errors import InvalidRule
from features.store_address import has_password
from features.yaml_text import Loader, parse_yaml

IMPORT_PATH: Final = "deployments.app:build"
GRAPHS: Final[Mapping[str, Mapping[str, type[Settings]]]] = {
    "distributed": {
        "Ingress": IngressSettings,
        "Router": PolicySettings,
        "Features": StoreSettings,
        "LogisticRegression": ModelSettings,
        "XGBoost": ModelSettings,
        "DecisionLog": LogSettings,
    },
    "fused": {"Fused": FusedSettings},
}
"""For each placement the deployments of the graph, and what the ``user_config`` of each may say."""
_SECRET_NAME: Final = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|API_?KEY|PRIVATE_?KEY", re.IGNORECASE)
BUSY_POLICY: Final = f"{ByBusyShare.__module__}:{ByBusyShare.__name__}"
MIN_HEADROOM: Final = 1.5
"""max_ongoing_requests / target_ongoing_requests: a replica counts only the requests that hold a slot, so with
less it never reports the load that would add a replica."""


def lint(text: str) -> list[str]:
    """Return the problems of a Serve config file, each beginning with its path; none when it is good.

    Args:
        text: the content of the file, YAML.
    """
    try:
        content = parse_yaml(text, _UniqueKeys)
    except yaml.YAMLError as error:
        return [f"the file is not YAML: {error}"]
    problems = list(_unknown_keys("", content, ServeDeploySchema))
    if problems:
        return problems
    problems = list(_invalid("", content, ServeDeploySchema))
    if problems:
        return problems
    for index, application in enumerate(content.get("applications", [])):
        if application["import_path"] == IMPORT_PATH:
            problems += _application(f"applications[{index}]", application)
    return problems


class _UniqueKeys(Loader):
    """YAML in which a key that is given twice is an error; plain YAML loaders take the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        # A merge key (<<) is no key of its own, and what it brings in may be overridden.
        own = [
            self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"
        ]
        for key in own:
            if own.count(key) > 1:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is given twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)


def _unknown_keys(path: str, value: Any, schema: type[BaseModel]) -> Iterator[str]:
    """Yield each key that the schema does not know, at every level below ``path``."""
    if not isinstance(value, dict):
        yield f"{path or 'the file'}: must be a mapping, not {type(value).__name__}"
        return
    fields = {field.alias or name: field for name, field in schema.model_fields.items()}
    for key, child in value.items():
        below = f"{path}.{key}".lstrip(".")
        if key not in fields:
            yield f"{below}: no such key; known are {', '.join(sorted(fields))}"
        elif key == "runtime_env":
            known, names = RuntimeEnv.known_fields, child if isinstance(child, dict) else ()
            yield from (
                f"{below}.{name}: no such key; known are {', '.join(sorted(known))}"
                for name in names
                if name not in known
            )
        elif child is not None:
            yield from _unknown_keys_below(below, child, _nested(schema, key, fields[key].annotation))


def _unknown_keys_below(path: str, value: Any, nested: type[BaseModel] | None) -> Iterator[str]:
    if nested is None:
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_keys(f"{path}[{index}]", item, nested)
    else:
        yield from _unknown_keys(path, value, nested)


def _nested(schema: type[BaseModel], key: str, annotation: Any) -> type[BaseModel] | None:
    """Return the schema of what lies under a key; None where that is a plain value, or free."""
    if (schema, key) == (ServeApplicationSchema, "autoscaling_policy"):
        return AutoscalingPolicy
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, list, typing.Annotated):
        for part in typing.get_args(annotation):
            found = _nested(schema, key, part)
            if found is not None:
                return found
    return None


def _invalid(path: str, value: Any, schema: type[BaseModel]) -> Iterator[str]:
    try:
        with warnings.catch_warnings():
            # Serve calls metrics_interval_s deprecated, although it is the setting that works.
            warnings.simplefilter("ignore")
            schema.model_validate(value)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"])
            yield f"{f'{path}{where}'.lstrip('.') or 'the file'}: {fault['msg']}"


def _application(path: str, application: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong in the section of this project's graph."""
    yield from _secrets(path, application)
    faults = list(_invalid(f"{path}.args", application.get("args", {}), AppArgs))
    yield from faults
    if faults:
        return
    known = GRAPHS[AppArgs.model_validate(application.get("args", {})).placement]
    named: list[str] = []
    for index, deployment in enumerate(application.get("deployments", [])):
        name = deployment["name"]
        below = f"{path}.deployments[{index}] ({name})"
        named.append(name)
        if name in known:
            yield from _deployment(below, deployment, known[name])
        else:
            yield f"{below}: no such deployment; known are {', '.join(known)}"
    for name in known:
        if named.count(name) != 1:
            yield f"{path}.deployments: {name} must be there once, not {named.count(name)} times"


def _secrets(path: str, section: Any) -> Iterator[str]:
    """Yield each variable of a runtime environment that seems to hold a secret: Serve and Ray show them to whoever
    may see the deployment, and keep them."""
    environment = (section or {}).get("runtime_env") or {}
    for name, value in (environment.get("env_vars") or {}).items():
        is_path = name.endswith(("_FILE", "_PATH"))
        if has_password(str(value)) or (not is_path and _SECRET_NAME.search(name)):
            yield (
                f"{path}.runtime_env.env_vars.{name}: Serve shows it to whoever may see the deployment; let it"
                " name a file, or set it in the environment of the machine"
            )


def _deployment(path: str, deployment: dict[str, Any], kind: type[Settings]) -> Iterator[str]:
    yield from _secrets(f"{path}.ray_actor_options", deployment.get("ray_actor_options"))
    user_config = deployment.get("user_config", {})
    faults = list(_invalid(f"{path}.user_config", user_config, kind))
    yield from faults
    if not faults:
        settings = kind.model_validate(user_config)
        if isinstance(settings, FusedSettings):
            yield from _policy(f"{path}.user_config.router", settings.router)
        if isinstance(settings, PolicySettings):
            yield from _policy(f"{path}.user_config", settings)
    if deployment.get("max_queued_requests", -1) == -1:
        yield f"{path}.max_queued_requests: must be set; without it the queue has no bound"
    scaling = deployment.get("autoscaling_config")
    if scaling is None:
        fewest = deployment.get("num_replicas") or 1
    else:
        faults = list(_invalid(f"{path}.autoscaling_config", scaling, AutoscalingConfig))
        if faults:
            yield from faults
            return
        if "policy" in scaling:
            yield from _busy_policy(f"{path}.autoscaling_config.policy", scaling["policy"])
        else:
            yield from _headroom(path, deployment, scaling)
        fewest = scaling.get("min_replicas", 1)
    if fewest == 1 and deployment.get("max_surge_percent", 0) < 100:
        yield f"{path}.max_surge_percent: must be 100; a single replica would have an outage at each update"


def _policy(path: str, policy: PolicySettings) -> Iterator[str]:
    for name in ("rules", "rules_without_history"):
        for rule in getattr(policy, name):
            try:
                compile_rules([rule])
            except InvalidRule as error:
                yield f"{path}.{name}: {error}"


def _busy_policy(path: str, policy: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the arguments of the policy; Serve would find out when it first scales."""
    if policy.get("policy_function") != BUSY_POLICY:
        yield f"{path}.policy_function: must be {BUSY_POLICY}, as the replicas report nothing else"
        return
    try:
        ByBusyShare(**policy.get("policy_kwargs", {}))
    except (TypeError, ValueError) as error:
        yield f"{path}.policy_kwargs: {error}"


def _headroom(path: str, deployment: dict[str, Any], scaling: dict[str, Any]) -> Iterator[str]:
    ongoing, target = deployment.get("max_ongoing_requests"), scaling.get("target_ongoing_requests")
    if ongoing is None or target is None:
        yield f"{path}: max_ongoing_requests and autoscaling_config.target_ongoing_requests must both be set"
    elif ongoing / target < MIN_HEADROOM:
        yield (
            f"{path}.max_ongoing_requests: must be at least {MIN_HEADROOM} times target_ongoing_requests, "
            f"not {ongoing} for {target}"
        )
