"""What a run must have shown to pass."""

import pytest

from loadtests.results import Totals
from loadtests.thresholds import Thresholds

GOOD = Totals("Aggregated", 1000, 0, 500.0, 10.0, 90.0)


def test_a_run_within_all_bounds_passes() -> None:
    assert Thresholds(0.0, 90.0, 500.0).broken(GOOD) == []


@pytest.mark.parametrize(
    ("thresholds", "totals", "words"),
    [
        (Thresholds(), Totals("", 1000, 1, 500, 10, 90), ["max-failed-share", "0.1000%", "1 of 1,000"]),
        (Thresholds(max_p99_ms=80), GOOD, ["max-p99-ms", "90 ms", "80 ms"]),
        (Thresholds(max_p99_ms=80), Totals("", 10, 0, 5, None, None), ["max-p99-ms", "no answer"]),
        (Thresholds(min_rps=501), GOOD, ["min-rps", "500.0", "501"]),
        (Thresholds(None), Totals("", 0, 0, 0, None, None), ["No request"]),
    ],
)
def test_a_bound_that_is_broken_is_named_with_the_value(
    thresholds: Thresholds, totals: Totals, words: list[str]
) -> None:
    [sentence] = thresholds.broken(totals)
    assert all(word in sentence for word in words), sentence


def test_every_broken_bound_has_its_own_sentence() -> None:
    assert len(Thresholds(0.0, 1.0, 1e6).broken(Totals("", 10, 5, 5, 2, 3))) == 3


def test_failures_may_be_allowed() -> None:
    assert Thresholds(0.01).broken(Totals("", 1000, 10, 500, 10, 90)) == []
    assert Thresholds(None).broken(Totals("", 1000, 999, 500, 10, 90)) == []
