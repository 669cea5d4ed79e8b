"""A sustained load: which growth counts, and which bounds are told to be broken."""

from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from loadtests.sustained import Growth, Reading, broken, growths, hold, main, write_results
from loadtests.wrk import Sample
from tests.unit.loadtests.fake_wrk import fake_wrk, logged

GOOD = Sample(requests_per_s=800, p50_ms=10, p99_ms=40, failed=0, client_cores=0.1)
STEADY = [Growth("router", 1, 100, 100)]


def readings(*values: tuple[float, float], pid: int = 1, name: str = "router") -> list[Reading]:
    return [Reading(time_s, pid, name, mib) for time_s, mib in values]


def test_growth_is_the_last_tenth_over_the_second_by_medians() -> None:
    [growth] = growths(
        readings((5, 500), (10, 100), (15, 100), (19, 900), (50, 700), (90, 110), (95, 110), (99, 5)), 100
    )
    assert (growth.before_mib, growth.after_mib) == (100, 110)
    assert growth.percent == pytest.approx(10)


def test_a_process_that_was_not_there_all_the_time_is_no_part_of_it() -> None:
    assert growths(readings((15, 100)) + readings((95, 100), pid=2), 100) == []


def test_the_largest_growth_comes_first_and_less_than_a_mebibyte_is_none() -> None:
    found = growths(
        readings((15, 2.0), (95, 2.9), name="small")
        + readings((15, 100), (95, 90), pid=2, name="shrinks")
        + readings((15, 100), (95, 105), pid=3, name="grows"),
        100,
    )
    assert [(growth.name, growth.percent) for growth in found] == [
        ("grows", pytest.approx(5)),
        ("small", 0),
        ("shrinks", pytest.approx(-10)),
    ]


def test_a_run_within_its_bounds_breaks_none() -> None:
    assert broken(GOOD, 820, [Growth("router", 1, 100, 102)], 60, 3) == []


@pytest.mark.parametrize(
    ("sample", "wanted", "grown", "words"),
    [
        (Sample(800, 10, 40, 2, 0.1), 800, STEADY, "2 requests failed"),
        (GOOD, 1000, STEADY, "800/s were made, not the 1,000/s wanted"),
        (Sample(800, 10, 61, 0, 0.1), 800, STEADY, "p99 was 61.0 ms, more than 60 ms"),
        (GOOD, 800, [], "memory was read too seldom to tell"),
        (GOOD, 800, [Growth("router", 7, 100, 104)], "router (pid 7) grew by 4.0 %, more than 3 %"),
    ],
)
def test_each_broken_bound_is_told_in_a_sentence(
    sample: Sample, wanted: float, grown: list[Growth], words: str
) -> None:
    [sentence] = broken(sample, wanted, grown, 60, 3)
    assert words in sentence


def test_without_bounds_only_failures_and_the_rate_count() -> None:
    assert broken(GOOD, 800, [Growth("router", 1, 100, 200)], None, None) == []


def test_the_store_may_grow_for_it_keeps_what_it_is_told() -> None:
    assert broken(GOOD, 800, [Growth("valkey-server", 1, 100, 200)], None, 3) == []


def test_the_rate_reaches_wrk(tmp_path: Path) -> None:
    sample, memory = hold(tmp_path, str(fake_wrk(tmp_path)), "http://service", 8, 123.4, 10, 0.0)
    assert sample.p50_ms == 1.5
    assert memory == []
    assert logged(tmp_path) == [["-c8", "http://service", "--", "100000", "123.4"]]


def test_results_are_a_table_and_a_plot(tmp_path: Path) -> None:
    write_results(tmp_path / "new", readings((1, 100), (2, 101)), "title")
    lines = (tmp_path / "new" / "memory.csv").read_text().splitlines()
    assert lines == ["time_s,pid,name,uss_mib", "1.0,1,router,100.00", "2.0,1,router,101.00"]
    assert (tmp_path / "new" / "memory.png").read_bytes().startswith(b"\x89PNG")


def test_where_no_stack_runs_it_says_so(tmp_path: Path) -> None:
    app = Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "No stack runs" in result.output
