"""How an analyst reads the value of a feature: in the words of its definition, or in others where those mislead.

A rate of nothing, or a 1 that means yes, says little as a number.
"""

from collections.abc import Mapping
from typing import Final

from features.definitions import (
    CUSTOMER_WINDOWS,
    D7,
    D30,
    H1,
    H24,
    RISK_WINDOWS,
    SECOND_MS,
    VELOCITY_LEVELS,
    Feature,
    Window,
)

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# True whether there was nothing, or nothing could be read while the store was away.
_NO_CUSTOMER: Final = "no payment of the customer is known in {}"
_NO_DEVICE: Final = "no payment by a device is known in {}"
_NO_MERCHANT: Final = "no payment at a merchant is known in {}"
_NO_FRAUD: Final = "no fraud at the merchant is known in {}"
_Words = dict[float, str]


def _in(words: str, window: Window) -> str:
    return words.format(window.words)


def _counts(none: str, who: str, window: Window) -> _Words:
    return {0.0: _in(none, window), 1.0: _in(f"{who} 1 payment in {{}}", window)}


def _customer() -> dict[str, _Words]:
    words: dict[str, _Words] = {}
    for window in CUSTOMER_WINDOWS:
        words[f"count_last_{window.name}"] = _counts(_NO_CUSTOMER, "the customer made", window)
        words[f"amount_last_{window.name}"] = {0.0: _in(_NO_CUSTOMER, window)}
    for window in (D7, D30):
        words[f"avg_amount_{window.name}"] = {0.0: _in(_NO_CUSTOMER, window)}
    for ratio, window in (("amount_ratio", D7), ("amount_ratio_30d", D30)):
        words[ratio] = {1.0: _in("the amount is the customer's mean over {}, or no mean is known", window)}
    return words | {
        "amount_drift_7d": {1.0: "the customer's mean payment is as before, or no mean is known"},
        "has_history": {0.0: _in(_NO_CUSTOMER, D30), 1.0: _in("the customer made payments in {}", D30)},
        "seconds_since_previous": {
            D30.duration_ms / SECOND_MS: _in(_NO_CUSTOMER, D30),
            1.0: "the customer's previous payment was 1 second ago",
        },
        "speed_kmh": {0.0: "no move of the customer since the previous place is known"},
    }


def _device() -> dict[str, _Words]:
    return {
        **{f"device_count_last_{w.name}": _counts(_NO_DEVICE, "the device made", w) for w in (H1, H24)},
        "device_amount_last_24h": {0.0: _in(_NO_DEVICE, H24)},
        "device_has_history": {0.0: _in(_NO_DEVICE, D30), 1.0: _in("the device was seen in {}", D30)},
    }


def _merchant() -> dict[str, _Words]:
    return {
        **{
            f"merchant_count_last_{level.window.name}": _counts(_NO_MERCHANT, "the merchant took", level.window)
            for level in VELOCITY_LEVELS
        },
        "merchant_avg_amount_30d": {0.0: _in(_NO_MERCHANT, D30)},
        "merchant_amount_ratio_30d": {
            1.0: _in("the amount is the merchant's mean over {}, or no mean is known", D30)
        },
        "merchant_has_history": {
            0.0: _in(_NO_MERCHANT, D30),
            1.0: _in("the merchant took payments in {}", D30),
        },
        **{f"merchant_fraud_rate_{w.name}": {0.0: _in(_NO_FRAUD, w)} for w in RISK_WINDOWS},
        "merchant_fraud_count_30d": {
            0.0: _in(_NO_FRAUD, D30),
            1.0: _in("1 payment at the merchant in {} (labels known by now) was fraud", D30),
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
