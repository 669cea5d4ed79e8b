"""What serve_config.yaml may say: unknown keys, bounds, order, and defaults that are the design's."""

from typing import Any

import pytest
from pydantic import ValidationError

from deployments.settings import (
    AppArgs,
    BatchSettings,
    IngressSettings,
    ModelRef,
    ModelSettings,
    PolicySettings,
    Rule,
    Settings,
    StoreSettings,
    Thresholds,
    Weights,
)

ALL = (AppArgs, BatchSettings, IngressSettings, ModelRef, ModelSettings, PolicySettings, StoreSettings)
NAN, INF = float("nan"), float("inf")
RULE = {"id": "a", "when": "amount > 1", "reason": "why"}


@pytest.mark.parametrize("settings", [*ALL, Weights, Thresholds])
def test_an_empty_configuration_is_a_whole_one(settings: type[Settings]) -> None:
    settings.model_validate({})


@pytest.mark.parametrize("settings", [*ALL, Weights, Thresholds])
def test_an_unknown_key_is_refused_and_named(settings: type[Settings]) -> None:
    with pytest.raises(ValidationError, match="mistyped"):
        settings.model_validate({"mistyped": 1})


@pytest.mark.parametrize(
    ("settings", "nested"),
    [
        (IngressSettings, {"batch": {"mistyped": 1}}),
        (ModelSettings, {"model": {"mistyped": 1}}),
        (PolicySettings, {"model": {"mistyped": 1}}),
        (PolicySettings, {"weights": {"mistyped": 1}}),
        (PolicySettings, {"thresholds": {"mistyped": 1}}),
        (PolicySettings, {"rules": [RULE | {"mistyped": 1}]}),
    ],
)
def test_an_unknown_key_deeper_down_is_refused_too(settings: type[Settings], nested: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="mistyped"):
        settings.model_validate(nested)


@pytest.mark.parametrize(
    ("settings", "bad"),
    [
        (BatchSettings, {"max_size": 0}),
        (BatchSettings, {"max_size": 1025}),
        (BatchSettings, {"max_size": 1.5}),
        (BatchSettings, {"slots": 0}),
        (BatchSettings, {"slots": 65}),
        (BatchSettings, {"max_queue": 0}),
        (BatchSettings, {"max_queue": 100_001}),
        (IngressSettings, {"max_wait_ms": 0}),
        (IngressSettings, {"max_wait_ms": 60_001}),
        (IngressSettings, {"deadline_ms": 9}),
        (IngressSettings, {"bulk_deadline_ms": 9}),
        (IngressSettings, {"max_items": 0}),
        (IngressSettings, {"max_items": 100_001}),
        (IngressSettings, {"max_body_bytes": 1023}),
        (IngressSettings, {"max_body_bytes": 2**40}),
        (IngressSettings, {"batch": None}),
        (StoreSettings, {"timeout_ms": 0}),
        (StoreSettings, {"timeout_ms": 60_001}),
        (ModelRef, {"name": ""}),
        (ModelRef, {"alias": ""}),
        (Weights, {"lr": -0.1}),
        (Weights, {"lr": NAN}),
        (Weights, {"lr": INF}),
        (Weights, {"lr": 1e308, "xgb": 1e308}),
        (Weights, {"lr": 0, "xgb": 0}),
        (Thresholds, {"block": 1.1}),
        (Thresholds, {"review": -0.1}),
        (Thresholds, {"fraud": NAN}),
        (Thresholds, {"review": 0.95}),
        (Thresholds, {"block": 0.4}),
        (PolicySettings, {"max_reasons": 0}),
        (PolicySettings, {"max_reasons": 21}),
        (PolicySettings, {"rules": [RULE, RULE]}),
        (Rule, RULE | {"id": ""}),
        (Rule, RULE | {"id": "Has Space"}),
        (Rule, RULE | {"id": "a" * 65}),
        (Rule, RULE | {"when": ""}),
        (Rule, RULE | {"when": "x" * 1001}),
        (Rule, RULE | {"action": "APPROVE"}),
        (Rule, RULE | {"action": "block"}),
        (Rule, RULE | {"reason": ""}),
        (Rule, RULE | {"reason": "x" * 201}),
        (Rule, {"id": "a", "when": "amount > 1"}),
    ],
)
def test_what_is_out_of_bounds_is_refused(settings: type[Settings], bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings.model_validate(bad)


def test_two_rules_of_one_name_are_named() -> None:
    with pytest.raises(ValidationError, match="rule ids must differ"):
        PolicySettings.model_validate({"rules": [RULE, RULE | {"when": "amount > 2"}]})


def test_a_queue_holds_at_least_one_batch() -> None:
    BatchSettings(max_size=64, max_queue=64, max_bulk_queue=64)
    with pytest.raises(ValidationError, match="max_queue"):
        BatchSettings(max_size=64, max_queue=63)


def test_the_defaults_are_the_designs() -> None:
    assert Thresholds().model_dump() == {"block": 0.90, "review": 0.50, "fraud": 0.50}
    assert Weights().model_dump() == {"lr": 0.5, "xgb": 0.5}
    assert BatchSettings().slots == 2


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Weights().lr = 0.3  # type: ignore[misc]


def test_the_lane_of_bulk_requests_must_hold_a_batch() -> None:
    with pytest.raises(ValidationError, match=r"max_bulk_queue \(63\) must not be below max_size"):
        BatchSettings(max_size=64, max_bulk_queue=63)
