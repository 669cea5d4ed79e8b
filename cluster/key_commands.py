"""``tollgate keys``: who may call the service, and what for.

The file holds hashes. A key is shown once, on standard output and nowhere else; everything else that a command
says goes to standard error, so that `tollgate keys create ... > key` keeps the key and nothing but it.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from cluster.reporting import Home, reporting
from cluster.settings import KEYS_FILE, settings_from
from deployments.access.key_file import VARIABLE, read_keys, write_keys
from deployments.access.keys import ApiKey, Rate, Scope, new_key
from features.errors import InvalidKeys

app = typer.Typer(
    name="keys",
    help="Make, list, rotate and revoke API keys. The file holds hashes; a key is printed once.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

File = Annotated[
    Path | None,
    typer.Option(help=f"File of the keys. [env: {VARIABLE}; default: {KEYS_FILE} in the state folder]"),
]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="Of the key, as `list` shows it.")]
_SPAN = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@app.command("create")
def create_command(
    scope: Annotated[list[Scope], typer.Option(help="What it may do; repeatable.")],
    name: Annotated[str, typer.Option(help="Whose it is.")] = "",
    expires_in: Annotated[str | None, typer.Option(help="How long it holds: 90d, 12h, 30m.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Transactions a second.")] = None,
    burst: Annotated[float | None, typer.Option(min=1, help="Transactions at once; default: the rate.")] = None,
    file: File = None,
    home: Home = None,
) -> None:
    """Make a key and print it: the only time that it is shown.

    score: POST /predict and /predict/batch. read: GET /model, /decisions and the details of /ready. admin: POST
    /labels.
    """
    with reporting(), _editing(file, home) as path:
        keys = read_keys(path) if path.exists() else []
        ends = None if expires_in is None else _now() + _span(expires_in)
        if ends is not None and ends <= _now():
            raise InvalidKeys(f"--expires-in {expires_in} makes a key that never opens anything.")
        if burst is not None and rate is None:
            raise InvalidKeys("--burst needs --rate")
        bound = None if rate is None else Rate(per_s=rate, burst=max(1.0, burst or rate))
        key, text = new_key(scope, name=name, not_after=ends, rate=bound)
        write_keys(path, [*keys, key])
        _tell(key, text, path)


@app.command("list")
def list_command(file: File = None, home: Home = None) -> None:
    """List the keys: ids, scopes, times, rates."""
    with reporting():
        now = _now()
        table = Table("id", "name", "scopes", Column("until", no_wrap=True), "rate", box=None)
        for key in read_keys(_path(file, home)):
            until = "" if key.not_after is None else key.not_after.isoformat(timespec="seconds")
            rate = "" if key.rate is None else f"{key.rate.per_s:g}/s, {key.rate.burst:g} at once"
            note = f"{until} (over)" if key.expired(now) else until
            table.add_row(key.id, Text(key.name), ", ".join(sorted(key.scopes)), note, rate)
        Console().print(table)


@app.command("rotate")
def rotate_command(
    key_id: KeyId,
    overlap: Annotated[str, typer.Option(help="How long the old key holds beside the new one.")] = "7d",
    file: File = None,
    home: Home = None,
) -> None:
    """Make a key like another one, print it, and let the old one end after a while."""
    with reporting(), _editing(file, home) as path:
        keys = read_keys(path)
        old = _find(keys, key_id, path)
        ends = _now() + _span(overlap)
        if old.not_after is not None:
            ends = min(ends, old.not_after)
        key, text = new_key(old.scopes, name=old.name, rate=old.rate)
        kept = [one.model_copy(update={"not_after": ends}) if one.id == key_id else one for one in keys]
        write_keys(path, [*kept, key])
        _tell(key, text, path)
        _say(f"The old key {key_id} holds until {ends.isoformat(timespec='seconds')}.")


@app.command("revoke")
def revoke_command(key_id: KeyId, file: File = None, home: Home = None) -> None:
    """Remove a key; a running service refuses it within seconds."""
    with reporting(), _editing(file, home) as path:
        keys = read_keys(path)
        _find(keys, key_id, path)
        write_keys(path, [key for key in keys if key.id != key_id])
        _say(f"The key {key_id} is revoked.")


def _path(file: Path | None, home: Path | None) -> Path:
    if file is not None:
        return file
    settings = settings_from(os.environ, home=home)
    return settings.api_keys_file or settings.home / KEYS_FILE


@contextmanager
def _editing(file: Path | None, home: Path | None) -> Iterator[Path]:
    """Give the path of the keys, which no other command changes meanwhile: what one writes, another would undo.

    Raises:
        InvalidKeys: their folder cannot be used.
    """
    path = _path(file, home)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise InvalidKeys(f"the API keys at {path} cannot be changed: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield path
    finally:
        os.close(folder)


def _find(keys: list[ApiKey], key_id: str, path: Path) -> ApiKey:
    for key in keys:
        if key.id == key_id:
            return key
    raise InvalidKeys(f"{path} has no key {key_id}; `tollgate keys list` shows them.")


def _tell(key: ApiKey, text: str, path: Path) -> None:
    typer.echo(text)
    scopes = ", ".join(sorted(key.scopes))
    _say(f"The key {key.id} ({scopes}) is in {path} as a hash. Keep what is printed: it is not shown again.")
    _say(
        "A service that reads this file takes it within seconds. One that was started without keys asks for none"
        " until it is started anew (`tollgate down`, `tollgate up`)."
    )


def _say(text: str) -> None:
    Console(stderr=True).print(Text(text), soft_wrap=True)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise InvalidKeys(f"{text!r} is no span of time; write 90d, 12h, 30m or 45s.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
