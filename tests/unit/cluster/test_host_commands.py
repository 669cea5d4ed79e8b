from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.cli import app
from cluster.host_commands import with_port
from tests.unit.cluster.conftest import Start


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("10.0.0.1", "10.0.0.1:6390"),
        ("10.0.0.1:7000", "10.0.0.1:7000"),
        ("head.example", "head.example:6390"),
        ("fd00::1", "[fd00::1]:6390"),
        ("[fd00::1]:7000", "[fd00::1]:7000"),
    ],
)
def test_a_head_without_a_port_has_that_of_our_own(given: str, address: str) -> None:
    assert with_port(given) == address


def test_joining_without_keys_is_refused_in_a_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["join", "127.0.0.1", "--home", str(tmp_path)], env={"TOLLGATE_API_KEYS_FILE": ""}
    )
    assert result.exit_code == 1
    assert "TOLLGATE_API_KEYS_FILE" in result.output


def test_a_head_is_no_url(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["join", "http://10.0.0.1:6390", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "A head is HOST or HOST:PORT" in result.output


def test_where_nothing_runs_there_is_nothing_to_leave(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["leave", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "Nothing was running" in result.output


def test_leaving_a_head_is_refused(tmp_path: Path, start: Start) -> None:
    start(home=tmp_path)
    result = CliRunner().invoke(app, ["leave", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "is no worker node" in result.output
