"""The file of API keys: YAML with hashes, scopes and times. It holds nothing that opens a door."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from deployments.access.keys import ApiKey
from features.errors import InvalidKeys
from features.faults import all_faults
from features.yaml_text import parse_yaml

VARIABLE: Final = "TOLLGATE_API_KEYS_FILE"
"""Environment variable that names the file."""
_HEAD: Final = (
    "# API keys of Tollgate: hashes, never keys. Written by `tollgate keys`; read anew when it changes.\n"
)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[ApiKey]


def read_keys(path: Path) -> list[ApiKey]:
    """Return the keys in a file.

    Raises:
        InvalidKeys: it cannot be read, is no such file, or has an id twice.
    """
    try:
        content: Any = parse_yaml(path.read_bytes())
        keys = _File.model_validate(content).keys
    except OSError as error:
        raise InvalidKeys(f"the API keys at {path} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        # Where, but not what stands there: somebody may have put a key where its hash belongs.
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        raise InvalidKeys(f"the API keys at {path} are no YAML{where}") from error
    except ValidationError as error:
        raise InvalidKeys(f"the API keys at {path} cannot be used: {all_faults(error)}") from error
    ids = [key.id for key in keys]
    if twice := sorted({key_id for key_id in ids if ids.count(key_id) > 1}):
        raise InvalidKeys(f"the API keys at {path} have an id twice: {', '.join(twice)}")
    return keys


def write_keys(path: Path, keys: Sequence[ApiKey]) -> None:
    """Replace the keys in a file, at once and for this user alone: a reader sees the old ones or the new.

    Raises:
        InvalidKeys: it cannot be written.
    """
    content = {"keys": [_plain(key) for key in keys]}
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(_HEAD + yaml.safe_dump(content, sort_keys=False))
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except OSError as error:
        raise InvalidKeys(f"the API keys cannot be written to {path}: {error.strerror}") from error


def _plain(key: ApiKey) -> dict[str, Any]:
    plain = key.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return plain | {"scopes": sorted(plain["scopes"])}
