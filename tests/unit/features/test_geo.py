"""Distances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.geo import EARTH_RADIUS_M, great_circle_m

LAT = st.integers(-90_000_000, 90_000_000)
LONG = st.integers(-180_000_000, 180_000_000)
HALF_WAY_ROUND = round(math.pi * EARTH_RADIUS_M)


def metres(lat1: int, long1: int, lat2: int, long2: int) -> int:
    return great_circle_m(*(np.array([udeg]) for udeg in (lat1, long1, lat2, long2))).item()


@pytest.mark.parametrize(
    ("name", "place", "other", "expected_m"),
    [
        ("a degree of longitude at the equator", (0, 0), (0, 1_000_000), 111_195),
        ("a degree of latitude", (45_000_000, 7_000_000), (46_000_000, 7_000_000), 111_195),
        ("pole to pole", (90_000_000, 0), (-90_000_000, 0), HALF_WAY_ROUND),
        ("across the date line", (0, 179_500_000), (0, -179_500_000), 111_195),
        ("Paris to New York", (48_856_600, 2_352_200), (40_712_800, -74_006_000), 5_837_249),
        ("a stone's throw", (0, 0), (0, 9), 1),
    ],
)
def test_known_distances(name: str, place: tuple[int, int], other: tuple[int, int], expected_m: int) -> None:
    assert metres(*place, *other) == expected_m, name


@given(LAT, LONG, LAT, LONG)
def test_a_distance_is_the_same_both_ways_and_at_most_half_way_round(
    lat1: int, long1: int, lat2: int, long2: int
) -> None:
    there = metres(lat1, long1, lat2, long2)
    assert there == metres(lat2, long2, lat1, long1)
    assert 0 <= there <= HALF_WAY_ROUND


@given(LAT, LONG)
def test_a_place_is_at_no_distance_from_itself_and_antipodes_are_half_way_round(lat: int, long: int) -> None:
    assert metres(lat, long, lat, long) == 0
    opposite = long - 180_000_000 if long > 0 else long + 180_000_000
    assert metres(lat, long, -lat, opposite) == HALF_WAY_ROUND


def test_many_distances_at_once_equal_each_alone() -> None:
    rng = np.random.default_rng(3)
    lats = rng.integers(-90_000_000, 90_000_001, (2, 500))
    longs = rng.integers(-180_000_000, 180_000_001, (2, 500))
    together = great_circle_m(lats[0], longs[0], lats[1], longs[1])
    alone = [metres(*(int(c[i]) for c in (lats[0], longs[0], lats[1], longs[1]))) for i in range(500)]
    assert together.tolist() == alone
