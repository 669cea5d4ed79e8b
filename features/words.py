"""How an analyst reads the value of a feature: in the words of its definition, or in others where those mislead.

A rate of nothing, or a 1 that means yes, says little as a number.
"""

from collections.abc import Mapping
from typing import Final

from features.definitions import CUSTOMER_WINDOWS, D30, RISK_WINDOWS, SECOND_MS, VELOCITY_LEVELS, Feature

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SPAN: Final = {"1h": "the last hour", "24h": "24 hours"}
"""Names of windows that are no good words themselves."""
_NO_DEVICE: Final = "no payment by a device is known in {}"
_NO_MERCHANT: Final = "no payment at a merchant is known in {}"
_NO_FRAUD: Final = "no fraud at the merchant is known in {}"


def _span(name: str) -> str:
    return _SPAN.get(name, f"{name.removesuffix('d')} days" if name.endswith("d") else name)


_AT: Final[Mapping[str, Mapping[float, str]]] = {
    "day_of_week": {float(day): f"the day of week is {name}" for day, name in enumerate(_DAYS)},
    "is_night": {0.0: "the payment is by day", 1.0: "the payment is at night"},
    "is_weekend": {0.0: "the payment is on a working day", 1.0: "the payment is at a weekend"},
    **{f"count_last_{w.name}": {1.0: f"the customer made 1 payment in {_span(w.name)}"} for w in CUSTOMER_WINDOWS},
    **{
        f"avg_amount_{name}": {0.0: f"no payment of the customer is known in {_span(name)}"}
        for name in ("7d", "30d")
    },
    "has_history": {
        0.0: f"no payment of the customer is known in {_span('30d')}",
        1.0: f"the customer made payments in {_span('30d')}",
    },
    "seconds_since_previous": {
        D30.duration_ms / SECOND_MS: f"no payment of the customer is known in {_span('30d')}",
    },
    "speed_kmh": {0.0: "no move of the customer since the previous place is known"},
    **{f"device_{what}": {0.0: _NO_DEVICE.format(_span("24h"))} for what in ("count_last_24h", "amount_last_24h")},
    "device_count_last_1h": {
        0.0: _NO_DEVICE.format(_span("1h")),
        1.0: f"the device made 1 payment in {_span('1h')}",
    },
    "device_has_history": {0.0: _NO_DEVICE.format(_span("30d")), 1.0: f"the device was seen in {_span('30d')}"},
    **{
        f"merchant_count_last_{level.window.name}": {0.0: _NO_MERCHANT.format(_span(level.window.name))}
        for level in VELOCITY_LEVELS
    },
    "merchant_avg_amount_30d": {0.0: _NO_MERCHANT.format(_span("30d"))},
    "merchant_has_history": {
        0.0: _NO_MERCHANT.format(_span("30d")),
        1.0: f"the merchant took payments in {_span('30d')}",
    },
    **{
        f"merchant_fraud_rate_{w.name}": {0.0: _NO_FRAUD.format("1 day" if w.name == "1d" else _span(w.name))}
        for w in RISK_WINDOWS
    },
    "merchant_fraud_count_30d": {
        0.0: _NO_FRAUD.format(_span("30d")),
        1.0: f"1 payment at the merchant in {_span('30d')} (labels known by now) was fraud",
    },
}


def in_words(feature: Feature, value: float) -> str:
    """Return how an analyst reads the value of a feature.

    >>> from features.definitions import FEATURES
    >>> [in_words(feature, 1.0) for feature in FEATURES if feature.name in ("is_night", "speed_kmh")]
    ['the payment is at night', 'the customer moved at 1 km/h since the previous place']
    """
    told = _AT.get(feature.name, {}).get(value)
    return feature.words.format(value=value) if told is None else told
