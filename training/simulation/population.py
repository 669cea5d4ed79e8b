"""Who pays and where: customers with homes and habits, merchants with places and price levels."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.simulation.places import CATEGORIES, CITIES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NONE: Final = -1
"""Stands for no merchant, no device or no city in an integer column."""

N_SHOPS, N_SITES = 6, 4
"""How many shops and how many web merchants a customer favours."""

MEDIAN_AMOUNT: Final = 30.0
"""What a customer of average means spends on a typical purchase, in major units."""

CITY_LAT: Final = np.array([city.lat for city in CITIES])
CITY_LONG: Final = np.array([city.long for city in CITIES])
FAR_KM: Final = 2_500.0
"""From here on a place counts as far away from home."""


@dataclass(frozen=True, slots=True, eq=False)
class Merchants:
    """m merchants: category (index into CATEGORIES), city, place, heavy-tailed popularity, on the web or not."""

    category: Ints
    city: Ints
    lat: Floats
    long: Floats
    popularity: Floats
    web: Bools

    def __len__(self) -> int:
        return len(self.city)

    def draw(self, rng: np.random.Generator, among: Bools, n: int) -> Ints:
        """Return n merchants, by popularity, of those in the mask ``among`` (of all if it is empty)."""
        weight = self.popularity * among if among.any() else self.popularity
        return _draw(rng, weight, n)

    def draw_in_cities(self, rng: np.random.Generator, city: Ints) -> Ints:
        """Return for each city of (n,) a shop there, by popularity; any shop where the city has none."""
        shops = np.flatnonzero(~self.web)
        shops = shops[np.argsort(self.city[shops], kind="stable")]
        bounds = np.searchsorted(self.city[shops], np.arange(len(CITIES) + 1))
        low, high = bounds[city], bounds[city + 1]
        low, high = np.where(low == high, 0, low), np.where(low == high, len(shops), high)
        reach = np.concatenate(([0.0], np.cumsum(self.popularity[shops])))
        at = reach[low] + rng.random(len(city)) * (reach[high] - reach[low])
        drawn: Ints = shops[np.clip(np.searchsorted(reach, at, side="right") - 1, low, high - 1)]
        return drawn


@dataclass(frozen=True, slots=True, eq=False)
class Customers:
    """c customers; the last ``spare`` of them never pay by themselves (identities that a device farm makes up).

    Attributes:
        city, lat, long: home.
        typical: (c,) what a typical purchase costs, in major units (log-normal over the customers).
        activity: (c,) relative number of payments a day, heavy-tailed; 0 for spares.
        joined_day: (c,) day of the first possible payment; 0 for who is there from the start.
        peak_hour, hour_spread: (c,) when on the clock (UTC) the customer pays; a few are night owls.
        web_share: (c,) share of payments on the web.
        phone, other_device, new_phone, new_phone_day: (c,) devices, NONE if there is no other.
        shops, sites: (c, N_SHOPS) and (c, N_SITES) favourite merchants.
        trip_city, trip_start_day, trip_days: (c,) one journey, or a length of 0.
    """

    city: Ints
    lat: Floats
    long: Floats
    typical: Floats
    activity: Floats
    joined_day: Floats
    peak_hour: Floats
    hour_spread: Floats
    web_share: Floats
    phone: Ints
    other_device: Ints
    new_phone: Ints
    new_phone_day: Floats
    shops: Ints
    sites: Ints
    trip_city: Ints
    trip_start_day: Floats
    trip_days: Floats
    spare: int

    def __len__(self) -> int:
        return len(self.city)

    @property
    def devices(self) -> int:
        """How many device numbers the customers use up."""
        return int(self.new_phone.max()) + 1


def make_merchants(rng: np.random.Generator, n: int) -> Merchants:
    """Return n merchants, at least one on the web and one that is a shop; popularity follows Zipf's law."""
    share = np.array([category.share for category in CATEGORIES])
    category = rng.choice(len(CATEGORIES), n, p=share / share.sum())
    city = rng.choice(len(CITIES), n, p=_share(np.array([c.weight for c in CITIES]) + 0.25))
    category[0] = [category.web for category in CATEGORIES].index(True)
    # Every city has a shop, if there are enough of them: journeys must find one where nobody lives.
    shops = min(len(CITIES), n // 2)
    category[1 : 1 + shops], city[1 : 1 + shops] = 0, np.arange(shops)
    zipf = np.power(rng.permutation(n) + 8.0, -0.9)
    return Merchants(
        category=category,
        city=city,
        lat=CITY_LAT[city] + rng.normal(0, 0.06, n),
        long=CITY_LONG[city] + rng.normal(0, 0.08, n),
        popularity=zipf,
        web=np.array([c.web for c in CATEGORIES])[category],
    )


def make_customers(rng: np.random.Generator, n: int, spare: int, days: int, merchants: Merchants) -> Customers:
    """Return n paying customers and ``spare`` more that never pay by themselves."""
    c = n + spare
    city = rng.choice(len(CITIES), c, p=_share(np.array([city.weight for city in CITIES])))
    activity = rng.lognormal(0.0, 1.0, c)
    activity[n:] = 0.0
    owl = rng.random(c) < 0.05
    peak = np.where(rng.random(c) < 0.6, rng.normal(13.0, 2.0, c), rng.normal(18.5, 1.5, c))
    # A quarter joins during the period: a first payment must be an everyday sight at any time of the history.
    joined = np.where(rng.random(c) < 0.25, rng.random(c) * days * 0.97, 0.0)
    phone = np.arange(c)
    household = rng.random(c) < 0.05
    phone[1:] = np.where(household[1:], phone[:-1], phone[1:])
    new_phone_day = np.where(rng.random(c) < 0.2, rng.random(c) * days, np.inf)
    trip = rng.random(c) < 0.35
    return Customers(
        city=city,
        lat=CITY_LAT[city] + rng.normal(0, 0.08, c),
        long=CITY_LONG[city] + rng.normal(0, 0.11, c),
        typical=MEDIAN_AMOUNT * rng.lognormal(0.0, 0.45, c),
        activity=activity,
        joined_day=joined,
        peak_hour=np.where(owl, rng.normal(25.0, 1.5, c), peak) % 24,
        hour_spread=rng.uniform(1.5, 4.5, c),
        web_share=rng.beta(2.0, 3.0, c),
        phone=phone,
        other_device=np.where(rng.random(c) < 0.4, c + np.arange(c), NONE),
        new_phone=2 * c + np.arange(c),
        new_phone_day=new_phone_day,
        shops=merchants.draw_in_cities(rng, np.repeat(city, N_SHOPS)).reshape(c, N_SHOPS),
        sites=merchants.draw(rng, merchants.web, c * N_SITES).reshape(c, N_SITES),
        trip_city=rng.integers(0, len(CITIES), c),
        trip_start_day=rng.random(c) * days,
        trip_days=np.where(trip, rng.uniform(2.0, 14.0, c), 0.0),
        spare=spare,
    )


def far_cities(rng: np.random.Generator, lat: Floats, long: Floats) -> Ints:
    """Return for each place (n,) a city at least FAR_KM away."""
    km = distance_km(lat[:, None], long[:, None], CITY_LAT[None, :], CITY_LONG[None, :])
    chosen: Ints = np.argmax(np.where(km >= FAR_KM, rng.random(km.shape), -1.0), axis=1)
    return chosen


def distance_km(lat: Floats, long: Floats, to_lat: Floats, to_long: Floats) -> Floats:
    """Return great-circle distances between places in degrees, broadcast (haversine, sphere of 6,371 km).

    >>> float(distance_km(*(np.array([x]) for x in (0.0, 0.0, 0.0, 90.0)))[0].round())
    10008.0
    """
    lat, long, to_lat, to_long = (np.radians(x) for x in (lat, long, to_lat, to_long))
    half = np.sin((to_lat - lat) / 2) ** 2
    half = half + np.cos(lat) * np.cos(to_lat) * np.sin((to_long - long) / 2) ** 2
    distance: Floats = 2 * 6_371.0 * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0)))
    return distance


def _draw(rng: np.random.Generator, weight: Floats, n: int) -> Ints:
    """Return n indices drawn in proportion to weight; weights of 0 are never drawn."""
    reach = np.cumsum(weight)
    drawn: Ints = np.searchsorted(reach, rng.random(n) * reach[-1], side="right")
    return drawn


def _share(weight: Floats) -> Floats:
    share: Floats = weight / weight.sum()
    return share
