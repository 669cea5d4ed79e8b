"""The overload report: goodput, latencies and recovery, from the counts of each second."""

import json
from itertools import islice
from pathlib import Path

import pytest

from loadtests.open_loop import OpenLoop, Second
from loadtests.overload import Peak, Phase, bodies, find_peak, memory_of, recovered_s, report_of
from loadtests.overload_plot import write_plot
from loadtests.sustained import Reading


def second(accepted: int, refused: int = 0, took_s: float = 0.01, not_sent: int = 0) -> Second:
    return Second(
        due=accepted + refused + not_sent,
        not_sent=not_sent,
        accepted=accepted,
        refused=refused,
        latencies_s=[took_s] * accepted,
        refusals_s=[0.001] * refused,
    )


BEFORE = Phase("before", 50, [second(50)] * 3)
OVERLOAD = Phase("overload", 300, [second(90, refused=210, took_s=0.05)] * 3)
AFTER = Phase("after", 50, [second(20, refused=30), second(50, took_s=0.5), second(50, took_s=0.02)])


def test_the_report_sets_goodput_against_the_peak() -> None:
    report = report_of(Peak(100, 20), 3, (BEFORE, OVERLOAD, AFTER), {})
    assert (report.goodput, report.goodput_of_peak) == (90, 0.9)
    assert report.refused_share == pytest.approx(0.7)
    assert (report.p99_ms_before, report.p99_ms_at_peak, report.p99_ms) == pytest.approx((10, 20, 50))
    assert report.refused_p99_ms == pytest.approx(1)


def test_a_second_that_stood_still_does_not_decide_the_p99_of_a_second() -> None:
    stalled = Phase("overload", 300, [*OVERLOAD.seconds, second(90, took_s=2.0), *[second(0, refused=300)] * 9])
    report = report_of(Peak(100, 20), 3, (BEFORE, stalled, AFTER), {})
    assert (report.p99_ms, report.p99_ms_of_a_second) == pytest.approx((2000, 50))


def test_recovered_is_whoever_takes_all_again_as_fast_as_before() -> None:
    assert recovered_s(BEFORE, AFTER) == 2
    assert recovered_s(BEFORE, Phase("after", 50, AFTER.seconds[:2])) is None
    assert recovered_s(BEFORE, BEFORE) == 0


class Limited(OpenLoop):
    """A service that takes 300 a second."""

    def __init__(self) -> None:
        self.seconds: list[Second] = []
        self.rates: list[float] = []

    async def send(self, rate: float, seconds: int) -> None:
        self.rates.append(rate)
        taken = min(300, int(rate))
        took_s = 0.01 if rate < 310 else 0.09
        self.seconds += [second(taken, refused=int(rate) - taken, took_s=took_s)] * seconds


async def test_the_peak_is_what_the_service_takes_when_more_is_offered() -> None:
    load = Limited()
    assert await find_peak(load, 100, pause_s=0.0) == Peak(300, pytest.approx(10))
    assert load.rates[-1] > 300


def test_each_body_is_a_payment_under_an_id_of_its_own() -> None:
    made = [json.loads(body) for body in islice(bodies(), 4100)]
    assert len({one["transaction_id"] for one in made}) == 4100
    assert made[0].keys() == made[4000].keys()
    assert {**made[0], "transaction_id": ""} == {**made[4000], "transaction_id": ""}


def test_the_memory_of_processes_that_were_there_all_the_time_is_compared() -> None:
    before = [Reading(0, 1, "router", 100.0), Reading(0, 2, "gone", 1.0)]
    assert memory_of(before, [Reading(9, 1, "router", 110.0), Reading(9, 3, "new", 1.0)]) == {
        "router 1": (100.0, 110.0)
    }


def test_the_plot_is_a_png(tmp_path: Path) -> None:
    write_plot(tmp_path / "overload.png", (BEFORE, OVERLOAD, AFTER), 100)
    assert (tmp_path / "overload.png").read_bytes().startswith(b"\x89PNG")
