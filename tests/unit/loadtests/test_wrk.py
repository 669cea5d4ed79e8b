"""One run of wrk, with a command that prints what wrk would."""

from pathlib import Path

import pytest

from loadtests.wrk import WrkFailed, find_wrk, parse, run_wrk
from tests.unit.loadtests.fake_wrk import fake_wrk, logged


def test_a_run_gives_rate_latencies_and_failures(tmp_path: Path) -> None:
    sample = run_wrk(str(fake_wrk(tmp_path, status=2)), "http://a/predict", 64, 2)
    assert (sample.requests_per_s, sample.p50_ms, sample.p99_ms, sample.failed) == (499, 1.5, 9, 3)


def test_answers_that_failed_are_no_throughput(tmp_path: Path) -> None:
    all_good = run_wrk(str(fake_wrk(tmp_path)), "http://a/predict", 1, 1)
    half = run_wrk(str(fake_wrk(tmp_path, status=500)), "http://a/predict", 1, 1)
    assert half.requests_per_s == all_good.requests_per_s / 2


def test_the_clients_own_cpu_is_part_of_the_sample() -> None:
    line = '{"requests": 10, "duration_us": 2000000, "p50_us": 1, "p99_us": 1, "status": 0, "socket": 0}'
    assert parse(line, 0.5, "http://a").client_cores == 0.25


def test_the_script_gets_its_arguments_after_the_address(tmp_path: Path) -> None:
    run_wrk(str(fake_wrk(tmp_path)), "http://a/predict", 16, 1, Path("bodies.lua"), ("file", "type"))
    assert logged(tmp_path) == [["-c16", "http://a/predict", "--", "file", "type"]]


def test_an_address_that_answers_no_success_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrkFailed, match="http://a/predict answered no request with a success"):
        run_wrk(str(fake_wrk(tmp_path, requests=10, status=10)), "http://a/predict", 1, 1)


def test_what_wrk_complains_of_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(WrkFailed, match="no route"):
        run_wrk(str(fake_wrk(tmp_path, exit_code=1)), "http://a/predict", 1, 1)


def test_an_address_that_does_not_answer_in_time_is_told_from_one_that_refuses(tmp_path: Path) -> None:
    with pytest.raises(WrkFailed, match="answered no request within 2 s"):
        run_wrk(str(fake_wrk(tmp_path, requests=0)), "http://a/predict", 1, 1)


@pytest.mark.parametrize("output", ["", "Running 10s test\n", "bodies.lua:1: oops\n"])
def test_output_without_counts_is_refused(output: str) -> None:
    with pytest.raises(WrkFailed, match="printed no counts for http://a"):
        parse(output, 0.0, "http://a")


def test_a_missing_wrk_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WrkFailed, match="Install wrk"):
        find_wrk(str(tmp_path / "absent"))
