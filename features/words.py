"""How an analyst reads the value of a feature: in the words of its definition, or in others where those mislead.

A rate of nothing, or a 1 that means yes, says little as a number.
"""

from collections.abc import Mapping
from typing import Final

from features.definitions import CUSTOMER_WINDOWS, D30, RISK_WINDOWS, SECOND_MS, VELOCITY_LEVELS, Feature

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SPAN: Final = {"1h": "the last hour", "24h": "24 hours", "1d": "1 day"}
"""Names of windows that have words of their own; the others are days."""
# True whether there was nothing, or nothing could be read while the store was away.
_NO_CUSTOMER: Final = "no payment of the customer is known in {}"
_NO_DEVICE: Final = "no payment by a device is known in {}"
_NO_MERCHANT: Final = "no payment at a merchant is known in {}"
_NO_FRAUD: Final = "no fraud at the merchant is known in {}"
_Words = dict[float, str]


def _in(words: str, window: str) -> str:
    return words.format(_SPAN.get(window) or f"{window.removesuffix('d')} days")


def _counts(none: str, who: str, window: str) -> _Words:
    return {0.0: _in(none, window), 1.0: _in(f"{who} made 1 payment in {{}}", window)}


def _customer() -> dict[str, _Words]:
    words: dict[str, _Words] = {}
    for window in (w.name for w in CUSTOMER_WINDOWS):
        words[f"count_last_{window}"] = _counts(_NO_CUSTOMER, "the customer", window)
        words[f"amount_last_{window}"] = {0.0: _in(_NO_CUSTOMER, window)}
    for window in ("7d", "30d"):
        words[f"avg_amount_{window}"] = {0.0: _in(_NO_CUSTOMER, window)}
    for ratio, window in (("amount_ratio", "7d"), ("amount_ratio_30d", "30d")):
        words[ratio] = {1.0: _in("the amount is the customer's mean over {}, or no mean is known", window)}
    return words | {
        "amount_drift_7d": {1.0: "the customer's mean payment is as before, or no mean is known"},
        "has_history": {0.0: _in(_NO_CUSTOMER, "30d"), 1.0: _in("the customer made payments in {}", "30d")},
        "seconds_since_previous": {D30.duration_ms / SECOND_MS: _in(_NO_CUSTOMER, "30d")},
        "speed_kmh": {0.0: "no move of the customer since the previous place is known"},
    }


def _device() -> dict[str, _Words]:
    return {
        **{f"device_count_last_{window}": _counts(_NO_DEVICE, "the device", window) for window in ("1h", "24h")},
        "device_amount_last_24h": {0.0: _in(_NO_DEVICE, "24h")},
        "device_has_history": {0.0: _in(_NO_DEVICE, "30d"), 1.0: _in("the device was seen in {}", "30d")},
    }


def _merchant() -> dict[str, _Words]:
    return {
        **{
            f"merchant_count_last_{level.window.name}": {0.0: _in(_NO_MERCHANT, level.window.name)}
            for level in VELOCITY_LEVELS
        },
        "merchant_avg_amount_30d": {0.0: _in(_NO_MERCHANT, "30d")},
        "merchant_amount_ratio_30d": {
            1.0: _in("the amount is the merchant's mean over {}, or no mean is known", "30d")
        },
        "merchant_has_history": {
            0.0: _in(_NO_MERCHANT, "30d"),
            1.0: _in("the merchant took payments in {}", "30d"),
        },
        **{f"merchant_fraud_rate_{w.name}": {0.0: _in(_NO_FRAUD, w.name)} for w in RISK_WINDOWS},
        "merchant_fraud_count_30d": {
            0.0: _in(_NO_FRAUD, "30d"),
            1.0: _in("1 payment at the merchant in {} (labels known by now) was fraud", "30d"),
        },
    }


_AT: Final[Mapping[str, _Words]] = {
    "day_of_week": {float(day): f"the day of week is {name}" for day, name in enumerate(_DAYS)},
    "is_night": {0.0: "the payment is by day", 1.0: "the payment is at night"},
    "is_weekend": {0.0: "the payment is on a working day", 1.0: "the payment is at a weekend"},
    **_customer(),
    **_device(),
    **_merchant(),
}


def in_words(feature: Feature, value: float) -> str:
    """Return how an analyst reads the value of a feature.

    >>> from features.definitions import FEATURES
    >>> [in_words(feature, 1.0) for feature in FEATURES if feature.name in ("is_night", "speed_kmh")]
    ['the payment is at night', 'the customer moved at 1 km/h since the previous place']
    """
    told = _AT.get(feature.name, {}).get(value)
    return feature.words.format(value=value) if told is None else told
