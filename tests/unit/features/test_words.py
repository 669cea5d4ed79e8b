"""Reasons that an analyst reads: no number that means something else, and nothing that nobody gave."""

import pytest

from features.definitions import FEATURES
from features.formulas import feature_matrix
from features.without_history import without_history
from features.words import _AT, in_words
from tests.unit.deployments.transactions import batch_of

BY_NAME = {feature.name: feature for feature in FEATURES}


def test_every_special_value_belongs_to_a_feature_and_shows_no_gap() -> None:
    assert _AT.keys() <= BY_NAME.keys()
    for name, words in _AT.items():
        for value, text in words.items():
            assert in_words(BY_NAME[name], value) == text
            assert "{" not in text


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("is_night", 1.0, "the payment is at night"),
        ("day_of_week", 6.0, "the day of week is Sunday"),
        ("speed_kmh", 0.0, "no move of the customer since the previous place is known"),
        ("speed_kmh", 900.0, "the customer moved at 900 km/h since the previous place"),
        ("device_has_history", 0.0, "no payment by a device is known in 30 days"),
        ("device_amount_last_24h", 0.0, "no payment by a device is known in 24 hours"),
        ("seconds_since_previous", 2_592_000.0, "no payment of the customer is known in 30 days"),
        ("seconds_since_previous", 60.0, "the customer's previous payment was 60 seconds ago"),
        ("count_last_1h", 1.0, "the customer made 1 payment in the last hour"),
        ("count_last_7d", 0.0, "no payment of the customer is known in 7 days"),
        ("amount_last_24h", 0.0, "no payment of the customer is known in 24 hours"),
        ("device_count_last_24h", 1.0, "the device made 1 payment in 24 hours"),
        ("amount_ratio", 1.0, "the amount is the customer's mean over 7 days, or no mean is known"),
        ("merchant_fraud_count_30d", 1.0, "1 payment at the merchant in 30 days (labels known by now) was fraud"),
        ("count_last_7d", 2.0, "the customer made 2 payments in 7 days"),
        ("avg_amount_7d", 0.0, "no payment of the customer is known in 7 days"),
        ("count_last_7d", 1.0, "the customer made 1 payment in 7 days"),
        ("merchant_count_last_24h", 1.0, "the merchant took 1 payment in 24 hours"),
        ("merchant_count_last_1h", 2.0, "the merchant took 2 payments in the last hour"),
        (
            "merchant_fraud_rate_1d",
            0.5,
            "50.0% of the merchant's payments in 1 day (labels known by now) were fraud",
        ),
        ("seconds_since_previous", 1.0, "the customer's previous payment was 1 second ago"),
        ("merchant_fraud_rate_1d", 0.0, "no fraud at the merchant is known in 1 day"),
        ("merchant_count_last_1h", 0.0, "no payment at a merchant is known in the last hour"),
    ],
)
def test_values_are_told_as_what_they_mean(name: str, value: float, told: str) -> None:
    assert in_words(BY_NAME[name], value) == told


def test_a_feature_of_yes_and_no_is_never_told_as_a_number() -> None:
    for feature in FEATURES:
        if feature.formula in ("any", "is_night", "is_weekend"):
            assert not any(sign in in_words(feature, value) for value in (0.0, 1.0) for sign in ("(", ":")), (
                feature
            )


def test_what_is_told_without_history_claims_nothing_about_it() -> None:
    [values] = feature_matrix(without_history(batch_of(1)))
    for feature, value in zip(FEATURES, values.tolist(), strict=True):
        if feature.inputs:
            told = in_words(feature, value)
            assert "known" in told, told
