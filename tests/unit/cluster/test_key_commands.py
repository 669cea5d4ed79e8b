"""``tollgate keys``, as an operator types it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cluster.cli import app
from deployments.access.key_file import read_keys
from deployments.access.keys import KeyRing, Scope

Keys = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


@pytest.fixture
def keys(file: Path) -> Keys:
    return lambda command, *arguments: CliRunner().invoke(app, ["keys", command, "--file", str(file), *arguments])


def test_a_key_is_printed_once_and_kept_as_a_hash(keys: Keys, file: Path) -> None:
    made = keys("create", "--scope", "score", "--scope", "read", "--name", "backend", "--rate", "10")
    assert made.exit_code == 0, made.stderr
    text = made.stdout.strip()
    found = KeyRing(read_keys(file)).find(text.encode())
    assert found is not None
    assert (found.key.name, found.key.scopes) == ("backend", {Scope.SCORE, Scope.READ})
    assert found.key.rate is not None
    assert (found.key.rate.per_s, found.key.rate.burst) == (10, 10)
    secret = text.split("_", 2)[2]
    listed = keys("list")
    assert found.key.id in listed.stdout
    for said in (made.stderr, file.read_text(), listed.stdout):
        assert secret not in said


def test_a_key_that_is_over_at_once_is_refused(keys: Keys, file: Path) -> None:
    made = keys("create", "--scope", "score", "--expires-in", "0d")
    assert made.exit_code == 1
    assert "never opens anything" in made.stderr
    assert not file.exists()


def test_a_rotation_lets_both_keys_hold_for_a_while(keys: Keys, file: Path) -> None:
    keys("create", "--scope", "admin", "--name", "ops")
    [old] = read_keys(file)
    made = keys("rotate", old.id, "--overlap", "2h")
    assert made.exit_code == 0, made.stderr
    ended, new = read_keys(file)
    assert (new.name, new.scopes, new.not_after) == (old.name, old.scopes, None)
    assert KeyRing([new]).find(made.stdout.strip().encode()) is not None
    assert ended.sha256 == old.sha256
    assert ended.not_after is not None
    left = ended.not_after - datetime.now(UTC)
    assert timedelta(hours=1) < left <= timedelta(hours=2)


def test_a_rotation_prolongs_no_key(keys: Keys, file: Path) -> None:
    keys("create", "--scope", "score", "--expires-in", "1h")
    [old] = read_keys(file)
    keys("rotate", old.id, "--overlap", "30d")
    assert read_keys(file)[0].not_after == old.not_after


def test_a_revoked_key_is_gone(keys: Keys, file: Path) -> None:
    for _ in range(2):
        keys("create", "--scope", "score")
    first, second = read_keys(file)
    assert keys("revoke", first.id).exit_code == 0
    assert read_keys(file) == [second]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["revoke", "abcdefgh"], "abcdefgh"),
        (["rotate", "abcdefgh"], "abcdefgh"),
        (["create", "--scope", "score", "--expires-in", "soon"], "soon"),
        (["create", "--scope", "score", "--burst", "3"], "--rate"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(keys: Keys, command: list[str], said: str) -> None:
    keys("create", "--scope", "read")
    failed = keys(*command)
    assert failed.exit_code == 1
    assert said in failed.stderr


def test_without_a_file_there_is_nothing_to_list(keys: Keys, file: Path) -> None:
    failed = keys("list")
    assert failed.exit_code == 1
    assert file.name in failed.stderr.replace("\n", "")
