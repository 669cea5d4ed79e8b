"""The arithmetic of growth, and the files that a run leaves."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.growth import table_of
from loadtests.growth_measures import (
    Measure,
    growth_exponent,
    measure,
    series,
    timed_us,
    write_csv,
    write_json,
)
from loadtests.growth_plot import PANELS, write_plot


def line(section: str, name: str, unit: str, by_size: dict[int, float]) -> list[Measure]:
    return [Measure(section, size, name, unit, value, value, value) for size, value in by_size.items()]


def test_a_measure_is_the_median_of_its_rounds_with_their_bounds() -> None:
    assert measure("batch", 64, "store", "us", [3.0, 1.0, 8.0]) == Measure(
        "batch", 64, "store", "us", 3.0, 1.0, 8.0
    )


def test_a_call_is_timed_in_every_round_and_once_before() -> None:
    calls: list[int] = []
    rounds = timed_us(lambda: calls.append(1), calls=4, rounds=3)
    assert len(calls) == 1 + 4 * 3
    assert len(rounds) == 3
    assert all(time_us > 0 for time_us in rounds)


@given(st.floats(-0.5, 2), st.floats(0.1, 1e3), st.permutations([10, 100, 1000]))
def test_the_exponent_of_a_power_is_found(exponent: float, factor: float, sizes: list[int]) -> None:
    measures = line("history", "a", "us", {size: factor * size**exponent for size in sizes})
    assert growth_exponent(measures) == pytest.approx(exponent, abs=1e-3)


def test_where_nothing_can_be_said_of_growth_it_is_none() -> None:
    assert growth_exponent(line("history", "a", "us", {10: 5.0})) == 0
    assert growth_exponent(line("history", "a", "us", {10: 0.0, 20: 5.0})) == 0


def test_a_series_is_the_values_of_one_name_in_order_of_size() -> None:
    measures = [
        *line("batch", "a", "us", {64: 2, 1: 1}),
        *line("batch", "b", "us", {1: 9}),
        *line("x", "a", "us", {1: 7}),
    ]
    assert {name: [one.size for one in found] for name, found in series(measures, "batch").items()} == {
        "a": [1, 64],
        "b": [1],
    }


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    measures = [measure("batch", 64, "store", "us", [3.0, 1.0, 8.0])]
    write_json(tmp_path / "g.json", measures, {"cores": 2})
    write_csv(tmp_path / "g.csv", measures)
    content = json.loads((tmp_path / "g.json").read_text())
    assert content["about"] == {"cores": 2}
    assert Measure(**content["measures"][0]) == measures[0]
    with (tmp_path / "g.csv").open() as file:
        [row] = csv.DictReader(file)
    assert (row["section"], row["size"], row["median"], row["highest"]) == ("batch", "64", "3.0", "8.0")


def test_every_question_has_its_panel(tmp_path: Path) -> None:
    measures = [m for section, unit, *_ in PANELS for m in line(section, f"{section} {unit}", unit, {1: 2, 10: 3})]
    write_plot(tmp_path / "all.png", measures, "title")
    write_plot(tmp_path / "one.png", measures[:2], "title")
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "all.png").stat().st_size > (tmp_path / "one.png").stat().st_size


def test_the_table_says_how_each_value_grows() -> None:
    table = table_of(line("history", "store", "us", {10: 5, 1000: 500}), "history")
    assert [list(column.cells) for column in table.columns] == [["store, us"], ["5.00"], ["500"], ["1.00"]]
