"""The declarations hold together."""

from dataclasses import replace
from typing import Any

import pytest

from features import definitions
from features.definitions import (
    AGGREGATE_COLUMNS,
    CUSTOMER_WINDOWS,
    DAY_QUARTER_MS,
    DAY_QUARTERS,
    DEVICE_WINDOWS,
    FEATURE_NAMES,
    FEATURES,
    FRAUD_LEVEL,
    LABEL_DELAY_MS,
    LOG_EVENTS,
    LOG_RETENTION_MS,
    RISK_WINDOWS,
    VELOCITY_LEVELS,
    TileLevel,
    fingerprint,
)
from features.formulas import FORMULAS
from features.transaction import MAX_AMOUNT


def test_the_features_that_the_contract_names_are_there() -> None:
    promised = {
        *("count_last_1h", "amount_last_1h", "avg_amount_7d", "amount_ratio"),
        *("hour_of_day", "day_of_week", "is_night"),
    }
    assert promised <= set(FEATURE_NAMES)


def test_names_are_unique() -> None:
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
    assert len(set(AGGREGATE_COLUMNS)) == len(AGGREGATE_COLUMNS)


def test_every_feature_reads_aggregates_that_exist_with_a_formula_that_exists() -> None:
    for feature in FEATURES:
        assert set(feature.inputs) <= set(AGGREGATE_COLUMNS), feature.name
        assert feature.formula in FORMULAS, feature.name


def test_every_formula_is_used() -> None:
    assert {feature.formula for feature in FEATURES} == set(FORMULAS)


def test_words_show_the_value_exactly_once() -> None:
    for feature in FEATURES:
        assert feature.words.format(value=0.25) != feature.words.format(value=0.75), feature.name
        assert feature.words.count("{value") == 1, feature.name


def test_logs_keep_events_for_their_longest_window() -> None:
    longest_ms = max(w.duration_ms for w in (*CUSTOMER_WINDOWS, *DEVICE_WINDOWS))
    assert longest_ms < LOG_RETENTION_MS


def test_sums_over_a_full_log_are_exact_in_a_float64() -> None:
    assert MAX_AMOUNT * 100 * LOG_EVENTS < 2**53


@pytest.mark.parametrize("level", [*VELOCITY_LEVELS, FRAUD_LEVEL])
def test_a_level_has_room_for_its_window_and_one_tile_more(level: TileLevel) -> None:
    assert level.window.duration_ms % level.tile_ms == 0
    assert level.tiles >= level.window.duration_ms // level.tile_ms + 1


def test_the_tiles_of_days_have_room_for_the_label_delay() -> None:
    for level in (VELOCITY_LEVELS[-1], FRAUD_LEVEL):
        longest_ms = LABEL_DELAY_MS + max(w.duration_ms for w in RISK_WINDOWS)
        assert level.tiles >= longest_ms // level.tile_ms + 1
        assert all(w.duration_ms % level.tile_ms == 0 for w in RISK_WINDOWS)
        assert level.tile_ms == DAY_QUARTER_MS * DAY_QUARTERS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FORMULAS_VERSION", definitions.FORMULAS_VERSION + 1),
        ("LABEL_DELAY_MS", LABEL_DELAY_MS + 1),
        ("NIGHT_ENDS_HOUR", 5),
        ("LOG_EVENTS", LOG_EVENTS + 1),
        ("RECENT_EVENTS", 33),
        ("RISK_WINDOWS", RISK_WINDOWS[:2]),
        ("VELOCITY_LEVELS", VELOCITY_LEVELS[:2]),
        ("DAY_QUARTER_MS", definitions.DAY_QUARTER_MS // 2),
        ("FRAUD_LEVEL", replace(FRAUD_LEVEL, tiles=49)),
        ("FEATURES", FEATURES[::-1]),
    ],
)
def test_a_change_of_what_is_computed_changes_the_fingerprint(
    monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    before = fingerprint()
    monkeypatch.setattr(definitions, name, value)
    assert computed() != before


def test_a_change_of_words_does_not_change_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    reworded = tuple(replace(feature, words="{value}") for feature in FEATURES)
    monkeypatch.setattr(definitions, "FEATURES", reworded)
    assert computed() == before


def computed() -> str:
    """Return the fingerprint of what the definitions are now; it is kept once it was asked for."""
    return fingerprint.__wrapped__()
