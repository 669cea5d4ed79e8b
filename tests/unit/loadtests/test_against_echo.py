"""The comparison, with a command that prints what wrk would."""

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from loadtests.against_echo import Sample, WrkFailed, compare, main, run_wrk, spread


def fake_wrk(folder: Path, *, requests: int = 1000, status: int = 0, exit_code: int = 0) -> Path:
    """Write a command that logs the URL that it is asked to measure, and prints the counts as predict.lua does."""
    counts = {"requests": requests, "duration_us": 2_000_000, "p50_us": 1500, "p90_us": 2000, "p99_us": 9000}
    line = json.dumps(counts | {"status": status, "socket": 1})
    command = folder / "wrk"
    command.write_text(
        f'#!/bin/sh\nfor last; do :; done\necho "$2 $last" >> {folder}/log\n'
        f"echo 'Running 10s test'\necho '{line}'\necho 'no route' >&2\nexit {exit_code}\n"
    )
    command.chmod(0o755)
    return command


def test_a_run_gives_rate_latencies_and_failures(tmp_path: Path) -> None:
    sample = run_wrk(str(fake_wrk(tmp_path, status=2)), "http://a/predict", 64, 2)
    assert sample == Sample(requests_per_s=500, p50_ms=1.5, p99_ms=9, failed=3)


def test_runs_are_interleaved_and_each_pair_is_turned_around(tmp_path: Path) -> None:
    pairs = compare(str(fake_wrk(tmp_path)), "http://service", "http://echo", 64, 1, 3)
    assert len(pairs) == 3
    urls = [line.split()[1] for line in (tmp_path / "log").read_text().splitlines()]
    service, echo = "http://service", "http://echo"
    assert urls == [service, echo, echo, service, service, echo]
    assert (tmp_path / "log").read_text().startswith("-c64 ")


def test_an_address_that_answers_no_success_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrkFailed, match="http://a/predict answered no request with a success"):
        run_wrk(str(fake_wrk(tmp_path, requests=10, status=10)), "http://a/predict", 1, 1)


def test_what_wrk_complains_of_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(WrkFailed, match="no route"):
        run_wrk(str(fake_wrk(tmp_path, exit_code=1)), "http://a/predict", 1, 1)


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
