"""The definition of the features a third time: brute force, as short and as plain as it can be.

It shares no code with the evaluators: lists, loops, integers and ``math``. It is quadratic; keep histories small.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EARTH_RADIUS_M = 6_371_008.8


@dataclass(frozen=True)
class Event:
    """One transaction: time in milliseconds, amount in cents, place in micro-degrees (lat, long) or None.

    ``labels`` are the verdicts that became known: (when in milliseconds, is it a fraud). None: not recorded when,
    so ``fraud`` is known when the label delay is over.
    """

    id: str
    time: int
    amount: int
    customer: str
    merchant: str | None = None
    device: str | None = None
    place: tuple[int, int] | None = None
    fraud: bool = False
    labels: tuple[tuple[int, bool], ...] | None = None


def oracle_features(arrivals: Sequence[Event], index: int) -> dict[str, float]:
    """Return the features of the transaction at ``index`` by name; ``arrivals`` are in order of arrival."""
    x, before = arrivals[index], arrivals[:index]
    customer = log([e for e in before if e.customer == x.customer], x)
    device = log([e for e in before if e.device == x.device and x.device is not None], x)
    shop = [e for e in before if e.merchant == x.merchant and x.merchant is not None]
    moment = datetime.fromtimestamp(x.time // 1000, UTC)
    features: dict[str, float] = {
        "amount": x.amount / 100,
        "hour_of_day": moment.hour,
        "day_of_week": moment.weekday(),
        "is_night": moment.hour < 6,
        "is_weekend": moment.weekday() in (5, 6),
    }
    for name, window in (("1h", HOUR), ("24h", DAY), ("7d", 7 * DAY), ("30d", 30 * DAY)):
        features[f"count_last_{name}"] = len(since(customer, x.time - window))
        features[f"amount_last_{name}"] = total(since(customer, x.time - window)) / 100
    features["avg_amount_7d"] = mean(since(customer, x.time - 7 * DAY))
    features["avg_amount_30d"] = mean(since(customer, x.time - 30 * DAY))
    features["amount_ratio"] = ratio(x, since(customer, x.time - 7 * DAY))
    features["amount_ratio_30d"] = ratio(x, since(customer, x.time - 30 * DAY))
    features["amount_drift_7d"] = drift(since(customer, x.time - 7 * DAY), since(customer, x.time - 30 * DAY))
    features["has_history"] = bool(since(customer, x.time - 30 * DAY))
    features["seconds_since_previous"] = min([30 * DAY, *(x.time - e.time for e in customer)]) / 1000
    features["speed_kmh"] = speed(x, since(customer, x.time - 30 * DAY))

    features["device_count_last_1h"] = len(since(device, x.time - HOUR))
    features["device_count_last_24h"] = len(since(device, x.time - DAY))
    features["device_amount_last_24h"] = total(since(device, x.time - DAY)) / 100
    features["device_has_history"] = bool(since(device, x.time - 30 * DAY))

    month = tiled(shop, x, DAY, 48, 30 * DAY)
    features["merchant_count_last_1h"] = len(tiled(shop, x, 5 * MINUTE, 16, HOUR))
    features["merchant_count_last_24h"] = len(tiled(shop, x, HOUR, 28, DAY))
    features["merchant_count_last_30d"] = len(month)
    features["merchant_avg_amount_30d"] = mean(month)
    features["merchant_amount_ratio_30d"] = ratio(x, month)
    features["merchant_has_history"] = bool(month)
    newest_day = max((e.time // DAY for e in shop), default=0)
    head = (x.time - 7 * DAY) // (6 * HOUR) * 6 * HOUR
    for name, window in (("1d", DAY), ("3d", 3 * DAY), ("7d", 7 * DAY), ("21d", 21 * DAY), ("30d", 30 * DAY)):
        counted = [e for e in shop if head - window <= e.time < head and e.time // DAY > newest_day - 48]
        inside = [e for e in arrivals if e.merchant == x.merchant and head - window <= e.time < head]
        frauds = sum(known_as_fraud(e, x, e in before) for e in inside if x.merchant is not None)
        features[f"merchant_fraud_rate_{name}"] = frauds / len(counted) if counted else 0
    features["merchant_fraud_count_30d"] = frauds
    return features


def known_as_fraud(e: Event, x: Event, arrived: bool) -> bool:
    """Return what the last label known before x says; a recorded one may be known before its own transaction."""
    if e.labels is None:
        return e.fraud and arrived
    verdicts = [fraud for known, fraud in sorted(e.labels, key=lambda label: label[0]) if known < x.time]
    return verdicts[-1:] == [True]


def log(arrived: list[Event], x: Event) -> list[Event]:
    """Return the events before x in event time that an exact log still knows, in order of arrival."""
    recents = arrived[-4096:]
    newest = max((e.time for e in recents), default=0)
    return [e for e in recents if e.time >= newest - 32 * DAY and e.time < x.time]


def tiled(arrived: list[Event], x: Event, tile: int, tiles: int, window: int) -> list[Event]:
    """Return the events in a window of tiles; of those not before x only the recent ones are left out."""
    newest = max((e.time // tile for e in arrived), default=0)
    return [
        e
        for age, e in enumerate(reversed(arrived))
        if e.time // tile > newest - tiles
        and (x.time - window) // tile <= e.time // tile <= x.time // tile
        and not (age < 32 and e.time >= x.time)
    ]


def since(events: list[Event], time: int) -> list[Event]:
    return [e for e in events if e.time >= time]


def total(events: list[Event]) -> int:
    return sum(e.amount for e in events)


def mean(events: list[Event]) -> float:
    return total(events) / len(events) / 100 if events else 0


def ratio(x: Event, events: list[Event]) -> float:
    return x.amount * len(events) / total(events) if events else 1


def drift(events: list[Event], longer: list[Event]) -> float:
    return float(total(events) * len(longer)) / float(total(longer) * len(events)) if events else 1


def speed(x: Event, events: list[Event]) -> float:
    """Return km/h from the last known place, in event time; of ties, the last to arrive."""
    places = [e for e in events if e.place is not None]
    if x.place is None or not places:
        return 0
    newest = max(e.time for e in places)
    last = [e for e in places if e.time == newest][-1]
    assert last.place is not None
    return metres(last.place, x.place) * 3600 / (x.time - last.time)


def metres(a: tuple[int, int], b: tuple[int, int]) -> int:
    """Return the great-circle distance: the angle between two vectors, from their cross and dot product."""
    u, v = vector(a), vector(b)
    cross = (u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0])
    dot = sum(p * q for p, q in zip(u, v, strict=True))
    return round(EARTH_RADIUS_M * math.atan2(math.hypot(*cross), dot))


def vector(place: tuple[int, int]) -> tuple[float, float, float]:
    lat, long = (math.radians(udeg / 1e6) for udeg in place)
    return math.cos(lat) * math.cos(long), math.cos(lat) * math.sin(long), math.sin(lat)
