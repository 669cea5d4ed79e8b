"""What locust left, read back."""

from pathlib import Path

import pytest

from loadtests.results import LoadTestFailed, Moment, Totals, read_failures, read_moments, read_totals
from tests.unit.loadtests.locust_files import write_run


def test_totals_are_those_of_each_endpoint_and_of_all_as_the_last(tmp_path: Path) -> None:
    write_run(tmp_path)
    predict, batch, everything = read_totals(tmp_path)
    assert predict == Totals("POST /predict", 100, 2, 50.0, 10.0, 90.0)
    assert batch == Totals("POST /predict/batch", 0, 0, 0.0, None, None)
    assert everything.name == "Aggregated"
    assert everything.failed_share == 0.02
    assert batch.failed_share == 0


def test_the_course_of_a_run_is_that_of_all_endpoints_together(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert read_moments(tmp_path) == [
        Moment(1000, 0, 0.0, 0.0, None, None),
        Moment(1001, 8, 50.5, 0.5, 10.0, 90.0),
        Moment(1002, 16, 50.5, 0.5, 10.0, 90.0),
    ]


def test_the_most_frequent_failure_comes_first(tmp_path: Path) -> None:
    write_run(tmp_path)
    assert read_failures(tmp_path) == [("frequent", 7), ("rare", 1)]


def test_a_run_that_left_nothing_points_to_its_log(tmp_path: Path) -> None:
    with pytest.raises(LoadTestFailed, match="locust\\.log"):
        read_totals(tmp_path)
