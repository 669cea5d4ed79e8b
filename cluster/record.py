"""The memory of a state folder: the settings of the stack that stands, and who works on it just now."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from cluster.processes import owned_by
from cluster.settings import ClusterSettings
from features.errors import ClusterError

# What is baked into the running processes; a change of it needs a fresh start.
BAKED = (
    "ports",
    "host",
    "data_folder",
    "redis_url_external",
    "redis_password_file",
    "redis_ca_file",
    "mlflow_uri_external",
    "api_keys_file",
    "allow_anonymous",
    "ray_auth",
    "hosts",
)


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Keep every other ``up`` and ``down`` of the same state folder out; the kernel drops the lock at exit.

    Raises:
        ClusterError: another command holds it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ClusterError(
                f"Another tollgate command (pid {lock.read().strip()}) works on {home}; wait for it to end."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def remember(settings: ClusterSettings) -> None:
    """Write the settings down, for this user alone: an external address may hold a password."""
    path = settings.home / "run.json"
    path.touch(mode=0o600)
    # Without what was not given: an earlier release refuses settings that it does not know.
    path.write_text(settings.model_dump_json(indent=2, exclude_none=True))


def forget(settings: ClusterSettings) -> None:
    """Remove what :func:`remember` wrote."""
    (settings.home / "run.json").unlink(missing_ok=True)


def remembered(home: Path) -> ClusterSettings | None:
    """Return the settings that the stack of ``home`` was started with, None when none was.

    What a later release wrote down besides is left out.

    Raises:
        ClusterError: the file is damaged.
    """
    path = home / "run.json"
    try:
        given = json.loads(path.read_bytes())
        known = ClusterSettings.model_fields.keys() & given
        return ClusterSettings.model_validate({name: given[name] for name in known})
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError, ValidationError) as error:
        raise ClusterError(f"{path} cannot be read ({type(error).__name__}); remove it.") from error


def refuse_changes(requested: ClusterSettings) -> None:
    """Check that a stack that stands was started with the settings that are now asked for.

    Raises:
        ClusterError: they differ in what only a fresh start can change; names the difference.
    """
    standing = remembered(requested.home)
    if standing is None or not owned_by(requested.home):
        return
    before, after = standing.model_dump(include=set(BAKED)), requested.model_dump(include=set(BAKED))
    changed = [name for name in BAKED if before[name] != after[name]]
    if changed == ["api_keys_file"] and standing.api_keys_file is None:
        raise ClusterError(
            f"The stack of {requested.home} was started without API keys, and there are some now, in"
            f" {requested.api_keys_file}. `tollgate down` and then `tollgate up` put them in force; to repair it"
            " as it is, move that file away first."
        )
    if changed:
        raise ClusterError(
            f"The stack of {requested.home} was started with other settings ({', '.join(changed)}). Run "
            "`tollgate down` first, or repeat the options and variables that it was started with."
        )
