"""The comparison, with a command that prints what wrk would."""

from pathlib import Path

from typer import Typer
from typer.testing import CliRunner

from loadtests.against_echo import compare, main, spread
from tests.unit.loadtests.fake_wrk import fake_wrk, logged


def test_runs_are_interleaved_and_each_pair_is_turned_around(tmp_path: Path) -> None:
    pairs = compare(str(fake_wrk(tmp_path)), "http://service", "http://echo", 64, 1, 3)
    assert len(pairs) == 3
    urls = [call[1] for call in logged(tmp_path)]
    service, echo = "http://service", "http://echo"
    assert urls == [service, echo, echo, service, service, echo]
    assert logged(tmp_path)[0][0] == "-c64"


def test_a_missing_wrk_is_named_with_what_to_do(tmp_path: Path) -> None:
    app = Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--wrk", str(tmp_path / "absent")])
    assert result.exit_code == 1
    assert "Install wrk" in result.output


def test_the_table_shows_medians_and_ratios(tmp_path: Path) -> None:
    app = Typer()
    app.command()(main)
    result = CliRunner(env={"COLUMNS": "120"}).invoke(
        app, ["--wrk", str(fake_wrk(tmp_path)), "--seconds", "1", "--repetitions", "2"]
    )
    assert result.exit_code == 0, result.output
    assert "c=64, 2 interleaved pairs" in result.output
    assert "500 (500-500)" in result.output
    assert "1.00 (1.00-1.00)" in result.output


def test_a_spread_is_the_median_between_lowest_and_highest() -> None:
    assert spread([3.0, 1.0, 2.0], ".1f") == "2.0 (1.0-3.0)"
