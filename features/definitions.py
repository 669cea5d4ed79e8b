"""The feature definitions, declared once: windows, bounds, names, formulas, words, and their fingerprint.

Two evaluators read these declarations: :mod:`features.online` (Redis) and :mod:`features.offline` (columns of
history). Both produce the same integer *aggregates*; :mod:`features.formulas` turns aggregates into the matrix.

Window rule: a window of length w at a transaction of event time t is ``[t - w, t)`` in UTC: history strictly
before the transaction. An event counts when it *arrived* before the transaction, within these bounds:

* customers and devices keep an event log, exact: its newest ``LOG_EVENTS`` arrivals, of which those older than
  ``LOG_RETENTION_MS`` before the newest event of them no longer count;
* merchants can be hot, so theirs are tiled (a "sawtooth" window, as Chronon calls it): the tail is snapped
  down to a tile, ``[floor(t - w), t)``. Of a merchant's events at or after t, which only ties and late
  arrivals see, the newest ``RECENT_EVENTS`` arrivals are taken out of the head exactly. A level of tiles
  keeps a fixed number of them, up to the newest seen;
* label-delayed windows are ``[floor(t - d - w), floor(t - d))`` in quarters of a UTC day. A fraud in them counts
  when its label was known before t (docs/adr/0010-labels.md). Tiles of days say how much of them lies before each
  quarter, so these windows are read from them too, as far back as the days are kept.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import Final, Literal

SECOND_MS: Final = 1000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

NIGHT_ENDS_HOUR: Final = 6
"""``is_night`` is 1 from 00:00 to 05:59 UTC."""

LOG_EVENTS: Final = 4096
"""Newest arrivals that an exact log keeps: 136 a day for 30 days, and at most 128 KiB an entity."""
LOG_RETENTION_MS: Final = 32 * DAY_MS
"""The longest window and two days of lateness."""
RECENT_EVENTS: Final = 32
"""Newest arrivals of a merchant that are remembered one by one."""
LABEL_DELAY_MS: Final = 7 * DAY_MS
"""Time after which the windows reach a transaction, and its label counts as known where nobody recorded when."""
DAY_QUARTER_MS: Final = 6 * HOUR_MS
"""Both ends of a label-delayed window are snapped down to it: whole days lose half a day of known labels."""
DAY_QUARTERS: Final = DAY_MS // DAY_QUARTER_MS
NO_TIME: Final = -1
"""Stands for an absent event time in an aggregate."""


@dataclass(frozen=True, slots=True)
class Window:
    """A length of time with the name that its features carry."""

    name: str
    duration_ms: int

    @property
    def words(self) -> str:
        """The length in words: "the last hour", "24 hours", "1 day"."""
        number, unit = self.name[:-1], {"h": "hour", "d": "day"}[self.name[-1]]
        return "the last hour" if self.name == "1h" else f"{number} {unit}{'' if number == '1' else 's'}"


H1: Final = Window("1h", HOUR_MS)
H24: Final = Window("24h", DAY_MS)
D1: Final = Window("1d", DAY_MS)
D3: Final = Window("3d", 3 * DAY_MS)
D7: Final = Window("7d", 7 * DAY_MS)
D21: Final = Window("21d", 21 * DAY_MS)
D30: Final = Window("30d", 30 * DAY_MS)

CUSTOMER_WINDOWS: Final = (H1, H24, D7, D30)
DEVICE_WINDOWS: Final = (H1, H24, D30)
RISK_WINDOWS: Final = (D1, D3, D7, D21, D30)
"""Close enough that their rates tell when a merchant's frauds began and whether they go on
(docs/adr/0016-risk-windows.md)."""


@dataclass(frozen=True, slots=True)
class TileLevel:
    """A ring of tiles of one size, and the window that is read from it, if any."""

    name: str
    tile_ms: int
    tiles: int
    window: Window


# A level needs one tile more than its window has; the rest is room for late arrivals: 15 minutes, 3 hours,
# and 10 days (which also covers the label delay).
VELOCITY_LEVELS: Final = (
    TileLevel("minutes", 5 * MINUTE_MS, 16, H1),
    TileLevel("hours", HOUR_MS, 28, H24),
    TileLevel("days", DAY_MS, 48, D30),
)
FRAUD_LEVEL: Final = TileLevel("frauds", DAY_MS, 48, D30)


def log_columns(entity: str, windows: tuple[Window, ...]) -> tuple[str, ...]:
    """Return the names of the window aggregates of an entity: counts first, then amounts.

    >>> log_columns("device", (H1,))
    ('device_count_1h', 'device_amount_1h')
    """
    return tuple(f"{entity}_{what}_{w.name}" for what in ("count", "amount") for w in windows)


CUSTOMER_COLUMNS: Final = (
    *log_columns("customer", CUSTOMER_WINDOWS),
    "customer_previous_time_ms",
    "customer_previous_place_time_ms",
    "customer_previous_lat_udeg",
    "customer_previous_long_udeg",
)
DEVICE_COLUMNS: Final = log_columns("device", DEVICE_WINDOWS)
MERCHANT_COLUMNS: Final = (
    *log_columns("merchant", tuple(level.window for level in VELOCITY_LEVELS)),
    *(f"merchant_delayed_count_{w.name}" for w in RISK_WINDOWS),
    *(f"merchant_delayed_frauds_{w.name}" for w in RISK_WINDOWS),
)
AGGREGATE_COLUMNS: Final = (*CUSTOMER_COLUMNS, *DEVICE_COLUMNS, *MERCHANT_COLUMNS)

Formula = Literal[
    "amount",
    "hour_of_day",
    "day_of_week",
    "is_night",
    "is_weekend",
    "count",
    "major_units",
    "mean",
    "ratio_to_mean",
    "ratio_of_means",
    "rate",
    "any",
    "elapsed",
    "speed",
]


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the feature matrix.

    Attributes:
        name: what models, clients and rules call it.
        formula: the entry of :data:`features.formulas.FORMULAS` that computes it.
        inputs: the aggregates that the formula reads, in its order.
        words: how an analyst reads it; ``{value}`` stands for the value.
        scale: "log1p" where the value spans orders of magnitude, for models that are linear in their input.
    """

    name: str
    formula: Formula
    inputs: tuple[str, ...]
    words: str
    scale: Literal["linear", "log1p"] = "linear"


def _customer_features() -> list[Feature]:
    counts = [
        Feature(
            f"count_last_{w.name}",
            "count",
            (f"customer_count_{w.name}",),
            f"the customer made {{value:.0f}} payments in {w.words}",
            "log1p",
        )
        for w in CUSTOMER_WINDOWS
    ]
    amounts = [
        Feature(
            f"amount_last_{w.name}",
            "major_units",
            (f"customer_amount_{w.name}",),
            f"the customer spent {{value:,.2f}} in {w.words}",
            "log1p",
        )
        for w in CUSTOMER_WINDOWS
    ]
    means = [
        Feature(
            f"avg_amount_{w.name}",
            "mean",
            (f"customer_amount_{w.name}", f"customer_count_{w.name}"),
            f"the customer's mean payment over {w.words} is {{value:,.2f}}",
            "log1p",
        )
        for w in (D7, D30)
    ]
    ratios = [
        Feature(
            name,
            "ratio_to_mean",
            (f"customer_amount_{w.name}", f"customer_count_{w.name}"),
            f"the amount is {{value:.1f}} times the customer's mean over {w.words}",
            "log1p",
        )
        for name, w in (("amount_ratio", D7), ("amount_ratio_30d", D30))
    ]
    drift = Feature(
        f"amount_drift_{D7.name}",
        "ratio_of_means",
        tuple(f"customer_{what}_{w.name}" for w in (D7, D30) for what in ("amount", "count")),
        f"the customer's mean payment over {D7.words} is {{value:.1f}} times that over {D30.words}",
        "log1p",
    )
    return [*counts, *amounts, *means, *ratios, drift]


def _merchant_features() -> list[Feature]:
    velocity = [
        Feature(
            f"merchant_count_last_{level.window.name}",
            "count",
            (f"merchant_count_{level.window.name}",),
            f"the merchant took {{value:.0f}} payments in {level.window.words}",
            "log1p",
        )
        for level in VELOCITY_LEVELS
    ]
    rates = [
        Feature(
            f"merchant_fraud_rate_{w.name}",
            "rate",
            (f"merchant_delayed_frauds_{w.name}", f"merchant_delayed_count_{w.name}"),
            f"{{value:.1%}} of the merchant's payments in {w.words} (labels known by now) were fraud",
        )
        for w in RISK_WINDOWS
    ]
    return [
        *velocity,
        Feature(
            "merchant_avg_amount_30d",
            "mean",
            ("merchant_amount_30d", "merchant_count_30d"),
            "the merchant's mean payment over 30 days is {value:,.2f}",
            "log1p",
        ),
        Feature(
            "merchant_amount_ratio_30d",
            "ratio_to_mean",
            ("merchant_amount_30d", "merchant_count_30d"),
            "the amount is {value:.1f} times the merchant's mean over 30 days",
            "log1p",
        ),
        Feature(
            "merchant_has_history",
            "any",
            ("merchant_count_30d",),
            "the merchant's history in 30 days: {value:.0f} (1 known, 0 none)",
        ),
        *rates,
        Feature(
            "merchant_fraud_count_30d",
            "count",
            ("merchant_delayed_frauds_30d",),
            "{value:.0f} payments at the merchant in 30 days (labels known by now) were fraud",
            "log1p",
        ),
    ]


FEATURES: Final = (
    Feature("amount", "amount", (), "the amount is {value:,.2f}", "log1p"),
    Feature("hour_of_day", "hour_of_day", (), "the hour of day is {value:.0f} UTC"),
    Feature("day_of_week", "day_of_week", (), "the day of week is {value:.0f} (0 is Monday)"),
    Feature("is_night", "is_night", (), "the payment is at night: {value:.0f} (1 yes, 0 no)"),
    Feature("is_weekend", "is_weekend", (), "the payment is at a weekend: {value:.0f} (1 yes, 0 no)"),
    *_customer_features(),
    Feature(
        "has_history",
        "any",
        ("customer_count_30d",),
        "the customer's history in 30 days: {value:.0f} (1 known, 0 none)",
    ),
    Feature(
        "seconds_since_previous",
        "elapsed",
        ("customer_previous_time_ms",),
        "the customer's previous payment was {value:,.0f} seconds ago",
        "log1p",
    ),
    Feature(
        "speed_kmh",
        "speed",
        (
            "customer_previous_place_time_ms",
            "customer_previous_lat_udeg",
            "customer_previous_long_udeg",
        ),
        "the customer moved at {value:,.0f} km/h since the previous place",
        "log1p",
    ),
    Feature(
        "device_count_last_1h",
        "count",
        ("device_count_1h",),
        "the device made {value:.0f} payments in the last hour",
        "log1p",
    ),
    Feature(
        "device_count_last_24h",
        "count",
        ("device_count_24h",),
        "the device made {value:.0f} payments in 24 hours",
        "log1p",
    ),
    Feature(
        "device_amount_last_24h",
        "major_units",
        ("device_amount_24h",),
        "the device spent {value:,.2f} in 24 hours",
        "log1p",
    ),
    Feature(
        "device_has_history",
        "any",
        ("device_count_30d",),
        "the device's history in 30 days: {value:.0f} (1 known, 0 none)",
    ),
    *_merchant_features(),
)

FEATURE_NAMES: Final = tuple(feature.name for feature in FEATURES)

FORMULAS_VERSION: Final = 2
"""Raise it with every change of what a formula or an evaluator computes; tests/unit/features pins its values."""


@cache
def fingerprint() -> str:
    """Return the 16 hex digits that name these definitions.

    Bundles carry the fingerprint of the definitions that they were trained on, online keys begin with it,
    and a server refuses a bundle whose fingerprint is not its own.
    """
    declared = {
        "formulas_version": FORMULAS_VERSION,
        "night_ends_hour": NIGHT_ENDS_HOUR,
        "log": [LOG_EVENTS, LOG_RETENTION_MS],
        "recent_events": RECENT_EVENTS,
        "label_delay_ms": LABEL_DELAY_MS,
        "day_quarter_ms": DAY_QUARTER_MS,
        "levels": [asdict(level) for level in (*VELOCITY_LEVELS, FRAUD_LEVEL)],
        "risk_windows": [asdict(window) for window in RISK_WINDOWS],
        "features": [[f.name, f.formula, *f.inputs] for f in FEATURES],
        "aggregates": AGGREGATE_COLUMNS,
    }
    canonical = json.dumps(declared, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
