"""Random histories that are dense in edge cases, and their translation for each evaluator."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from hypothesis import strategies as st

from features.definitions import FEATURE_NAMES
from features.formulas import Matrix
from features.history import HISTORY_SCHEMA
from tests.parity.oracle import DAY, HOUR, MINUTE, Event, oracle_features

MONDAY: Final = 1_746_403_200_000
"""2025-05-05 00:00 UTC in milliseconds: the edge of a tile of every level."""

_DAYS: Final = (0, 1, 2, 3, 7, 8, 9, 14, 30, 31, 32, 33, 37, 38, 39, 45, 48, 49, 55)
_TIMES_OF_DAY: Final = (
    *(0, 1, 4 * MINUTE, 5 * MINUTE, 10 * MINUTE, 55 * MINUTE, HOUR - 1, HOUR, HOUR + 1, 65 * MINUTE, 2 * HOUR),
    *(80 * MINUTE, 6 * HOUR - 1, 6 * HOUR, 12 * HOUR, 18 * HOUR - 1, 18 * HOUR, 22 * HOUR, 23 * HOUR, DAY - 1),
)
DELAYS: Final = (
    *(0, -HOUR, HOUR, DAY, 6 * DAY, 7 * DAY - 1, 7 * DAY, 7 * DAY + 1, 7 * DAY + 6 * HOUR, 8 * DAY - 1, 8 * DAY),
    *(8 * DAY + 1, 9 * DAY, 10 * DAY, 14 * DAY, 21 * DAY, 30 * DAY, 37 * DAY, 38 * DAY, 39 * DAY, 60 * DAY),
)
"""From a transaction to its label: early, on time to the millisecond, late, and too late for any window."""
_PLACES: Final = (
    None,
    None,
    (0, 0),
    (45_000_000, 9_000_000),
    (-45_000_000, -171_000_000),
    (90_000_000, 180_000_000),
)


def times(days: Sequence[int] = _DAYS) -> st.SearchStrategy[int]:
    """Return event times whose differences are often exactly a window, a tile, a delay, or nothing."""
    return st.builds(
        lambda day, time: MONDAY + day * DAY + time, st.sampled_from(days), st.sampled_from(_TIMES_OF_DAY)
    )


def places() -> st.SearchStrategy[tuple[int, int] | None]:
    anywhere = st.tuples(st.integers(-90_000_000, 90_000_000), st.integers(-180_000_000, 180_000_000))
    return st.one_of(st.sampled_from(_PLACES), anywhere)


@st.composite
def histories(draw: st.DrawFn, time: st.SearchStrategy[int] | None = None, max_size: int = 40) -> list[Event]:
    """Return events of few entities in a random order, with ids that count up from t0."""
    row = st.tuples(
        times() if time is None else time,
        st.integers(1, 1_000_000),
        st.sampled_from(("ann", "bob")),
        st.sampled_from((None, "shop", "shop", "café")),
        st.sampled_from((None, "phone")),
        places(),
        st.booleans(),
    )
    rows = draw(st.lists(row, max_size=max_size))
    return [Event(f"t{i}", *values) for i, values in enumerate(rows)]


@st.composite
def busy_histories(draw: st.DrawFn) -> list[Event]:
    """Return 50 to 250 events, most of them at one merchant: more than its tail holds, so tiles are written."""
    random = Random(draw(st.integers(0, 2**32)))
    span, step = draw(st.sampled_from(((3 * HOUR, MINUTE // 2), (3 * DAY, MINUTE), (60 * DAY, 90 * MINUTE))))
    arrivals = [MONDAY + random.randrange(0, span, step) for _ in range(random.randint(50, 250))]
    late = random.choice((0, len(arrivals) // 10, len(arrivals)))
    arrivals.sort()
    for _ in range(late):
        a, b = random.randrange(len(arrivals)), random.randrange(len(arrivals))
        arrivals[a], arrivals[b] = arrivals[b], arrivals[a]
    return [
        Event(
            f"t{i}",
            time,
            random.choice((1, 99, random.randrange(1, 10**6), 10**11)),
            random.choice(("ann", "bob")),
            random.choice((None, "shop", "shop", "shop", "café")),
        )
        for i, time in enumerate(arrivals)
    ]


def by_time(events: Sequence[Event]) -> list[Event]:
    """Return the events in order of event time, ties in the given order."""
    return sorted(events, key=lambda e: e.time)


def history_table(events: Sequence[Event], arrival: Sequence[int] | None = None) -> pa.Table:
    """Return events as a history table in the given order, with their arrival numbers if there are any."""
    nothing = [None] * len(events)
    columns = {
        "transaction_id": [e.id for e in events],
        "event_time": pa.array([e.time for e in events], pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
        "customer_id": [e.customer for e in events],
        "merchant_id": [e.merchant for e in events],
        "device_id": [e.device for e in events],
        "amount_minor": [e.amount for e in events],
        "lat": [None if e.place is None else e.place[0] / 1e6 for e in events],
        "long": [None if e.place is None else e.place[1] / 1e6 for e in events],
        "is_fraud": [int(e.fraud) for e in events],
        "arrival": nothing if arrival is None else list(arrival),
        "known_labels": [known_labels(e) for e in events],
    }
    arrays = [pa.array(columns.get(field.name, nothing), field.type) for field in HISTORY_SCHEMA]
    return pa.table(arrays, schema=HISTORY_SCHEMA)


def known_labels(event: Event) -> list[dict[str, object]] | None:
    """Return the labels of an event as a cell of the history."""
    if event.labels is None:
        return None
    return [{"known_at": known, "is_fraud": int(fraud)} for known, fraud in event.labels]


@st.composite
def labelled_histories(
    draw: st.DrawFn, days: Sequence[int] = range(46), max_size: int = 12, delays: Sequence[int] = DELAYS
) -> list[Event]:
    """Return events of which most have up to two labels: early, late, corrected, repeated, none at all."""
    events = draw(histories(time=times(days), max_size=max_size))
    label = st.tuples(st.sampled_from(delays), st.booleans())
    recorded = st.one_of(st.none(), st.lists(label, max_size=2))
    return [_labelled(event, draw(recorded)) for event in events]


def _labelled(event: Event, labels: Sequence[tuple[int, bool]] | None) -> Event:
    """Return an event with labels known so many milliseconds after it; without them it is as it was."""
    if labels is None:
        return event
    return replace(
        event, labels=tuple(sorted(((event.time + d, f) for d, f in labels), key=lambda label: label[0]))
    )


def oracle_matrix(arrivals: Sequence[Event]) -> Matrix:
    """Return the oracle's feature matrix of events in order of arrival."""
    return oracle_rows(arrivals, range(len(arrivals)))


def oracle_rows(arrivals: Sequence[Event], rows: Sequence[int]) -> Matrix:
    """Return the oracle's feature matrix of some rows alone."""
    features = [oracle_features(arrivals, row) for row in rows]
    return np.array([[f[name] for name in FEATURE_NAMES] for f in features], float).reshape(-1, len(FEATURE_NAMES))


def outrun_tile() -> list[Event]:
    """Return a history whose last event sees a fraud of a day that is no longer among the merchant's tiles."""
    days = ((0, True), (3, False), (49, False), (20, False))
    return [Event(f"t{day}", MONDAY + day * DAY, 100 + day, "ann", "shop", fraud=fraud) for day, fraud in days]
