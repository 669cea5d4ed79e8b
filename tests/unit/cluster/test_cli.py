from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from features.definitions import fingerprint

COMMANDS = sorted(command.name or "" for command in app.registered_commands)


def test_the_command_alone_shows_what_it_can_do() -> None:
    shown = CliRunner().invoke(app).output
    assert COMMANDS
    assert all(command in shown for command in COMMANDS)


def test_the_version_names_the_features_that_this_release_computes() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"Tollgate {version('tollgate')}, feature definitions {fingerprint()}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_mistake_of_the_user_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["up", "--home", str(tmp_path), "--port", "http=80"])
    assert result.exit_code == 1
    assert "http=80" in result.output
    assert "Traceback" not in result.output


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(app, ["simulate", "--out", str(tmp_path / "file" / "x"), "--transactions", "1000"])
    assert result.exit_code == 1
    assert "Not a directory" in result.output


def test_an_audit_of_nothing_proves_nothing(tmp_path: Path) -> None:
    audit = ["audit", "--home", str(tmp_path), "--archive", str(tmp_path / "none")]
    result = CliRunner().invoke(app, audit)
    assert result.exit_code == 1
    assert "No decision of" in result.output
    assert CliRunner().invoke(app, [*audit, "--day", "2026-02-30"]).exit_code == 2


def test_the_status_of_nothing_is_exit_code_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["status", "--home", str(tmp_path)], env={"TOLLGATE_PORT_BASE": "29000", "MLFLOW_TRACKING_URI": ""}
    )
    assert result.exit_code == 1
    assert "DOWN" in result.output


def test_down_of_nothing_says_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["down", "--home", str(tmp_path)], env={"TOLLGATE_PORT_BASE": "29000"})
    assert result.exit_code == 0
    assert "Nothing was running" in result.output
