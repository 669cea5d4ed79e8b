"""The budget of a decision: what is taken off, what is summed up, and what is said where there is no stack."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from loadtests.budget import Run, budget, main, table_of, used_between

IDLE = Run(0, 10, {"raylet": 1.0, "ingress": 0.1})


def loaded(ingress_s: float, decisions: float = 1000.0, seconds: float = 10.0) -> Run:
    return Run(decisions, seconds, {"raylet": 1.0, "ingress": ingress_s})


def test_what_a_process_takes_at_rest_is_taken_off_in_proportion_to_the_time() -> None:
    assert budget(IDLE, [loaded(1.1, seconds=10)])["ingress"] == pytest.approx(1000)
    assert budget(IDLE, [loaded(1.2, seconds=20)])["ingress"] == pytest.approx(1000)
    assert budget(IDLE, [loaded(1.1)])["raylet"] == pytest.approx(0)


def test_it_is_the_median_of_the_runs_and_the_costliest_comes_first() -> None:
    costs = budget(IDLE, [loaded(1.1), loaded(9.1), loaded(2.1)])
    assert costs["ingress"] == pytest.approx(2000)
    assert list(costs) == ["ingress", "raylet"]


def test_small_ones_are_one_line_and_the_sum_is_of_all() -> None:
    console = Console(width=100, record=True, file=StringIO())
    console.print(table_of(64, IDLE, [loaded(1.1)]))
    shown = console.export_text()
    assert "c=64, 100 decisions/s" in shown
    assert "raylet" not in shown
    assert "all others" in shown
    assert shown.count("1,000") == 2


def test_where_no_stack_runs_it_says_so(tmp_path: Path) -> None:
    app = Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "No stack runs" in result.output


def test_a_process_that_starts_or_ends_meanwhile_is_no_part_of_it_and_like_names_are_one() -> None:
    before = {1: ("raylet", 5.0), 2: ("worker", 1.0), 3: ("worker", 2.0), 4: ("ends", 9.0)}
    after = {1: ("raylet", 6.0), 2: ("worker", 1.5), 3: ("worker", 2.25), 5: ("starts", 9.0)}
    assert used_between(before, after) == {"raylet": 1.0, "worker": 0.75}
