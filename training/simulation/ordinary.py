"""Ordinary payments, among them all that looks like fraud and is none.

Night owls, journeys, new telephones, families with one telephone, shop terminals that many customers use, bursts
of tiny payments, addresses that place a customer on another continent, and large purchases in the daytime, very
often as the first that a customer ever makes.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from features.definitions import DAY_MS, HOUR_MS
from training.simulation.places import CATEGORIES, CITIES
from training.simulation.population import (
    CITY_LAT,
    CITY_LONG,
    MEDIAN_AMOUNT,
    N_SHOPS,
    N_SITES,
    NONE,
    Bools,
    Customers,
    Floats,
    Ints,
    Merchants,
    distance_km,
)
from training.simulation.rows import ONLINE, POS, TRANSFER, WITHDRAWAL, Rows

# Shares of all ordinary payments, unless a comment says otherwise.
FOLLOW_UP: Final = 0.10  # within minutes of another payment of the customer
FAVOURITE: Final = 0.70  # at one of the customer's favourite merchants
TRANSFERS: Final = 0.015  # to a person: no merchant
LARGE: Final = 0.004
LARGE_FIRST: Final = 0.30  # of the first payments of a customer: people join for a purchase
LARGE_RANGE: Final = (150.0, 6_000.0)  # major units
PLACED_ONLINE: Final = 0.60  # of online payments: the device tells where it is
WRONG_PLACE: Final = 0.004  # of placed online payments: an address on the other side of the world
KIOSK: Final = 0.02  # of online payments: at a terminal that many customers use
PHONE_AT_TILL: Final = 0.25  # of payments in shops

FLIGHT_KMH: Final = 650.0  # door to door, so that no honest journey has an impossible speed
KIOSK_CUSTOMERS: Final = 60  # customers for each kiosk


def ordinary_payments(
    rng: np.random.Generator, n: int, days: int, first_weekday: int, customers: Customers, merchants: Merchants
) -> Rows:
    """Return n ordinary payments within ``days`` days, the first of them a first_weekday (Monday 0), by time."""
    customer, time_ms, follow_up = _who_and_when(rng, n, days, first_weekday, customers)
    first = np.zeros(n, np.bool_)
    first[np.unique(customer, return_index=True)[1]] = True
    hour = time_ms % DAY_MS / HOUR_MS
    large = (hour >= 8) & (hour < 21) & (rng.random(n) < np.where(first, LARGE_FIRST, LARGE))
    abroad, in_transit = _journeys(time_ms, customer, customers)
    city = np.where(abroad, customers.trip_city[customer], customers.city[customer])

    # Nobody stands at a till while flying; and the dear things of life are bought on the web.
    online = (rng.random(n) < customers.web_share[customer]) | in_transit | large
    merchant = _merchants(rng, customer, city, online, abroad, customers, merchants)
    merchant = _bursts_stay(rng, merchant, customer, follow_up)
    online = merchants.web[merchant]
    dear = np.array([category.median > 100 for category in CATEGORIES])[merchants.category] & merchants.web
    merchant[large] = merchants.draw(rng, dear, int(large.sum()))

    rows = Rows(
        time_ms=time_ms,
        customer=customer,
        merchant=merchant,
        device=_devices(rng, customer, time_ms, online, customers),
        amount=_amounts(rng, customer, merchant, large, customers, merchants),
        kind=np.where(online, ONLINE, POS),
        city=city,
        lat=merchants.lat[merchant],
        long=merchants.long[merchant],
        pattern=np.zeros(n, np.int64),
    )
    return _transfers_and_cash(rng, _place_online(rng, rows, online, abroad, in_transit, customers), merchants)


def kiosks(customers: Customers) -> int:
    """Return how many terminals many customers use; their device numbers follow those of the customers."""
    return max(2, len(customers) // KIOSK_CUSTOMERS)


def price_points(rng: np.random.Generator, amount: Floats) -> Floats:
    """Return amounts as shops set them: some in whole units, some just below."""
    style = rng.random(len(amount))
    whole = np.maximum(np.round(amount), 1.0)
    return np.where(style < 0.25, whole, np.where(style < 0.45, whole - 0.01, np.maximum(amount, 0.2)))


def _who_and_when(
    rng: np.random.Generator, n: int, days: int, first_weekday: int, customers: Customers
) -> tuple[Ints, Ints, Bools]:
    """Return customer, time_ms and whether the payment follows another within minutes, sorted by time."""
    weight = customers.activity * (days - customers.joined_day)
    customer = rng.choice(len(customers), n, p=weight / weight.sum())
    # People pay more at the weekend and around pay day, and trade grows by a few percent over the months.
    day = np.arange(days)
    reach = np.cumsum(1.0 + 0.2 * ((day + first_weekday) % 7 >= 5) + 0.25 * (day % 30 < 3) + 0.05 * day / days)
    start = np.interp(customers.joined_day[customer], np.arange(days + 1), np.concatenate(([0.0], reach)))
    on_day = np.searchsorted(reach, start + rng.random(n) * (reach[-1] - start), side="right")
    hour = (customers.peak_hour[customer] + customers.hour_spread[customer] * rng.normal(size=n)) % 24
    hour = np.where(rng.random(n) < 0.15, rng.uniform(7.0, 23.0, n), hour)
    time_ms = np.minimum(on_day, days - 1) * DAY_MS + (hour * HOUR_MS).astype(np.int64)

    follow_up = rng.random(n) < FOLLOW_UP
    # Three follow a payment on average, so that honest bursts exist as well.
    leaders = np.flatnonzero(~follow_up)
    leaders = rng.choice(leaders, max(1, int(follow_up.sum()) // 3))
    lead = rng.choice(leaders, int(follow_up.sum()))
    customer[follow_up] = customer[lead]
    time_ms[follow_up] = time_ms[lead] + (rng.exponential(8 * 60_000, len(lead))).astype(np.int64)
    time_ms = np.minimum(time_ms, days * DAY_MS - 1)
    order = np.argsort(time_ms, kind="stable")
    return customer[order], time_ms[order], follow_up[order]


def _journeys(time_ms: Ints, customer: Ints, customers: Customers) -> tuple[Bools, Bools]:
    """Return who is abroad and who is on the way there or back."""
    to = customers.trip_city
    km = distance_km(customers.lat, customers.long, CITY_LAT[to], CITY_LONG[to])
    flight = (km / FLIGHT_KMH / 24)[customer]
    day = time_ms / DAY_MS
    start = customers.trip_start_day[customer]
    end = start + customers.trip_days[customer]
    travels = end > start
    abroad = travels & (day >= start) & (day < end)
    in_transit = travels & ~abroad & (day >= start - flight) & (day < end + flight)
    return abroad, in_transit


def _merchants(
    rng: np.random.Generator,
    customer: Ints,
    city: Ints,
    online: Bools,
    abroad: Bools,
    customers: Customers,
    merchants: Merchants,
) -> Ints:
    n = len(customer)
    # The first favourite is visited most: geometric, cut at the number there is.
    shop = customers.shops[customer, np.minimum(rng.geometric(0.35, n) - 1, N_SHOPS - 1)]
    site = customers.sites[customer, np.minimum(rng.geometric(0.4, n) - 1, N_SITES - 1)]
    other = rng.random(n) >= FAVOURITE
    elsewhere = np.flatnonzero(~online & (other | abroad))
    shop[elsewhere] = merchants.draw_in_cities(rng, city[elsewhere])
    new_site = np.flatnonzero(online & other)
    site[new_site] = merchants.draw(rng, merchants.web, len(new_site))
    return np.where(online, site, shop)


def _bursts_stay(rng: np.random.Generator, merchant: Ints, customer: Ints, follow_up: Bools) -> Ints:
    """Return the merchants, with most follow-ups at the merchant of the customer's payment before."""
    order = np.argsort(customer, kind="stable")
    in_order = merchant[order]
    same = (follow_up & (rng.random(len(merchant)) < 0.6))[order]
    same[1:] &= customer[order][1:] == customer[order][:-1]
    same[0] = False
    leader = np.maximum.accumulate(np.where(same, 0, np.arange(len(same))))
    stayed = merchant.copy()
    stayed[order] = in_order[leader]
    return stayed


def _amounts(
    rng: np.random.Generator,
    customer: Ints,
    merchant: Ints,
    large: Bools,
    customers: Customers,
    merchants: Merchants,
) -> Floats:
    n = len(customer)
    category = merchants.category[merchant]
    median = np.array([c.median for c in CATEGORIES])[category]
    sigma = np.array([c.sigma for c in CATEGORIES])[category]
    amount = median * customers.typical[customer] / MEDIAN_AMOUNT * np.exp(sigma * rng.normal(size=n))
    low, high = np.log(LARGE_RANGE)
    k = int(large.sum())
    amount[large] = np.exp(low + (high - low) * rng.beta(1.3, 1.8, k))
    return price_points(rng, np.minimum(amount, 20_000.0))


def _devices(rng: np.random.Generator, customer: Ints, time_ms: Ints, online: Bools, customers: Customers) -> Ints:
    n = len(customer)
    renewed = time_ms >= customers.new_phone_day[customer] * DAY_MS
    device = np.where(renewed, customers.new_phone[customer], customers.phone[customer])
    other = customers.other_device[customer]
    device = np.where((other != NONE) & (rng.random(n) < 0.3), other, device)
    kiosk = customers.devices + rng.integers(0, kiosks(customers), n)
    device = np.where(rng.random(n) < KIOSK, kiosk, device)
    return np.where(online | (rng.random(n) < PHONE_AT_TILL), device, NONE)


def _place_online(
    rng: np.random.Generator, rows: Rows, online: Bools, abroad: Bools, in_transit: Bools, customers: Customers
) -> Rows:
    """Return the rows with online payments placed where the customer is, or nowhere."""
    n = len(rows)
    lat = np.where(abroad, CITY_LAT[rows.city], customers.lat[rows.customer]) + rng.normal(0, 0.02, n)
    long = np.where(abroad, CITY_LONG[rows.city], customers.long[rows.customer]) + rng.normal(0, 0.02, n)
    wrong = rng.random(n) < WRONG_PLACE
    elsewhere = rng.integers(0, len(CITIES), n)
    city = np.where(wrong & online, elsewhere, rows.city)
    lat = np.where(wrong, CITY_LAT[elsewhere] + rng.normal(0, 0.08, n), lat)
    long = np.where(wrong, CITY_LONG[elsewhere] + rng.normal(0, 0.08, n), long)
    hidden = online & (in_transit | (rng.random(n) >= PLACED_ONLINE))
    return replace(
        rows,
        city=np.where(hidden, NONE, city),
        lat=np.where(hidden, np.nan, np.where(online, lat, rows.lat)),
        long=np.where(hidden, np.nan, np.where(online, long, rows.long)),
    )


def _transfers_and_cash(rng: np.random.Generator, rows: Rows, merchants: Merchants) -> Rows:
    cash = [category.name for category in CATEGORIES].index("cash_withdrawal")
    withdrawal = (merchants.category[rows.merchant] == cash) & (rows.kind == POS)
    transfer = (rows.kind == ONLINE) & (rng.random(len(rows)) < TRANSFERS / 0.4)
    kind = np.where(transfer, TRANSFER, np.where(withdrawal, WITHDRAWAL, rows.kind))
    notes = np.maximum(np.round(rows.amount / 10) * 10, 10.0)
    return replace(
        rows,
        kind=kind,
        merchant=np.where(transfer, NONE, rows.merchant),
        device=np.where(withdrawal, NONE, rows.device),
        amount=np.where(withdrawal, notes, rows.amount),
    )
