"""A scaling run, second by second."""

import csv
from pathlib import Path

from cluster.serve_rest import Application, Deployment
from loadtests.results import Moment
from loadtests.scaling_plot import write_plot
from loadtests.scaling_samples import Course, Replicas, Second, courses, join, write_csv
from loadtests.stages import Stage

PNG = b"\x89PNG\r\n\x1a\n"


def seconds_of(**running: list[int]) -> list[Second]:
    """Return a run of one sample a second with these replicas."""
    length = len(next(iter(running.values())))
    return [
        Second(
            float(at), 8, 10.0, 0.0, 5.0, 9.0, {name: (found[at], found[at]) for name, found in running.items()}
        )
        for at in range(length)
    ]


def test_replicas_are_those_that_run_and_those_that_are_wanted() -> None:
    found = Application("tollgate", "RUNNING", "", (Deployment("Ingress", "UPSCALING", "", 1, 2, ()),))
    assert Replicas.of(5.0, [found]) == Replicas(5.0, {"Ingress": (1, 2)})


def test_each_sample_is_joined_with_what_locust_measured_in_that_second() -> None:
    samples = [Replicas(100.9, {"A": (1, 1)}), Replicas(102.1, {"A": (1, 2)}), Replicas(103.2, {"A": (2, 2)})]
    moments = [Moment(102, 8, 50.0, 0.0, 5.0, 9.0)]
    first, second, third = join(samples, moments)
    assert (first.time_s, first.users, first.p50_ms) == (0.0, 0, None)
    assert (second.time_s, second.users, second.requests_per_s) == (1.2, 8, 50.0)
    # locust writes once a second, not on the second: the one before stands in.
    assert (third.time_s, third.p99_ms, third.replicas) == (2.3, 9.0, {"A": (2, 2)})


def test_a_course_says_when_replicas_came_and_went() -> None:
    [up_and_down] = courses(seconds_of(A=[1, 1, 2, 3, 2, 1, 1]))
    assert up_and_down == Course("A", 1, 3, 1, rose_s=2.0, fell_s=5.0)


def test_a_course_that_goes_up_twice_is_back_when_it_stays_back() -> None:
    [course] = courses(seconds_of(A=[1, 2, 1, 2, 1]))
    assert (course.rose_s, course.fell_s) == (1.0, 4.0)


def test_deployments_that_stay_or_do_not_come_back_say_so() -> None:
    steady, stuck = courses(seconds_of(A=[1, 1, 1], B=[1, 2, 2]))
    assert (steady.rose_s, steady.fell_s) == (None, None)
    assert (stuck.rose_s, stuck.fell_s) == (1.0, None)


def test_the_csv_file_has_two_columns_a_deployment(tmp_path: Path) -> None:
    unmeasured = Second(3.0, 0, None, None, None, None, {"A": (1, 2)})
    write_csv(tmp_path / "s.csv", [*seconds_of(A=[1], B=[2]), unmeasured])
    with (tmp_path / "s.csv").open() as file:
        first, last = csv.DictReader(file)
    assert (first["A_running"], first["B_wanted"], first["p50_ms"]) == ("1", "2", "5.0")
    assert (last["A_wanted"], last["B_running"], last["p50_ms"]) == ("2", "", "")


def test_the_plot_is_written_also_where_locust_measured_nothing(tmp_path: Path) -> None:
    unmeasured = Second(3.0, 0, None, None, None, None, {"A": (1, 2)})
    write_plot(tmp_path / "s.png", [*seconds_of(A=[1, 2, 1], B=[1, 1, 1]), unmeasured], [Stage(2, 8)], "title")
    assert (tmp_path / "s.png").read_bytes().startswith(PNG)
