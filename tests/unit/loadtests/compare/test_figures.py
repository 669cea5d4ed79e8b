"""Medians, spreads, and ratios within a repetition."""

import math

from hypothesis import given
from hypothesis import strategies as st

from loadtests.compare.figures import Spread, failed, p50_ms, pick, rate, ratios, spread
from tests.unit.loadtests.compare.examples import measurement, silent

RATES = st.lists(st.floats(1, 1e5), min_size=1, max_size=6)


def test_ratios_are_taken_within_a_repetition() -> None:
    # The machine halves its speed in the second repetition; the ratio stays.
    over = [measurement("tollgate", 64, 0, 1000), measurement("tollgate", 64, 1, 500)]
    under = [measurement("echo", 64, 0, 2000), measurement("echo", 64, 1, 1000)]
    assert ratios(over, under, rate) == Spread(0.5, 0.5, 0.5)


def test_a_repetition_that_lacks_one_of_both_has_no_ratio() -> None:
    over = [measurement("tollgate", 64, 0, 1000), measurement("tollgate", 64, 1, 500)]
    assert ratios(over, [measurement("echo", 64, 1, 250), silent("echo", 64, 0)], rate) == Spread(2, 2, 2)
    assert ratios(over, [silent("echo", 64, 0)], rate) is None
    assert ratios(over, [], rate) is None


def test_bulk_counts_payments_and_not_requests() -> None:
    assert measurement("tollgate_json_bulk", 16, 0, 60, rows=500).decisions_per_s == 30_000


@given(RATES)
def test_a_spread_holds_its_values(values: list[float]) -> None:
    found = spread(values)
    assert found
    assert found.lowest == min(values) <= found.median <= max(values) == found.highest


def test_what_is_not_known_is_in_no_spread() -> None:
    assert spread([math.nan, 2.0]) == Spread(2, 2, 2)
    assert spread([math.nan]) is None


@given(RATES, st.floats(0.1, 10))
def test_a_ratio_does_not_depend_on_the_machines_mood(values: list[float], factor: float) -> None:
    over = [measurement("tollgate", 1, i, value * factor) for i, value in enumerate(values)]
    under = [measurement("echo", 1, i, value) for i, value in enumerate(values)]
    found = ratios(over, under, rate)
    assert found
    assert math.isclose(found.lowest, factor, rel_tol=1e-9)
    assert math.isclose(found.highest, factor, rel_tol=1e-9)


def test_turns_are_picked_by_system_and_connections_in_order_of_repetition() -> None:
    turns = [
        measurement("a", 1, 1, 3),
        measurement("b", 1, 0, 1),
        measurement("a", 1, 0, 2),
        measurement("a", 4, 0, 9),
    ]
    assert [m.decisions_per_s for m in pick(turns, "a", 1)] == [2, 3]


def test_failures_are_counted_and_a_silent_turn_has_no_latency() -> None:
    assert (
        failed([measurement("a", 1, 0, 10, failed=2), measurement("a", 1, 1, 10, failed=3), silent("a", 1, 2)])
        == 5
    )
    assert math.isnan(p50_ms(silent("a", 1, 0)))
