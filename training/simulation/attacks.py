"""The attacks: five patterns of fraud, each with its own traces and none without a trace-free share.

The patterns follow what is described in the Fraud Detection Handbook (chapter 3, "Transaction data simulator":
compromised terminals, leaked credentials) and what card issuers name card testing, account takeover and bust-out.
No pattern has a constant that would give it away: amounts, places and devices overlap with the ordinary.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from features.definitions import DAY_MS, HOUR_MS, MINUTE_MS
from training.simulation.ordinary import price_points
from training.simulation.places import CITIES
from training.simulation.population import (
    CITY_LAT,
    CITY_LONG,
    NONE,
    Bools,
    Floats,
    Ints,
    Merchants,
    far_cities,
)
from training.simulation.rows import FRAUD_PATTERNS, ONLINE, Rows
from training.simulation.world import World

SHARES: Final = {
    "card_testing": 0.22,
    "account_takeover": 0.26,
    "compromised_merchant": 0.27,
    "bust_out": 0.11,
    "device_farm": 0.14,
}
"""Share of each pattern in all fraudulent payments."""

SPARE_SHARE: Final = 0.3
"""Share of a device farm's customers that it makes up; the others are stolen."""


def attack(world: World, frauds: int) -> Rows:
    """Return all payments by attackers, about ``frauds`` less the share of compromised merchants, unsorted."""
    quota = {pattern: max(1, round(share * frauds)) for pattern, share in SHARES.items()}
    parts = [
        _card_testing(world, quota["card_testing"]),
        _account_takeover(world, quota["account_takeover"]),
        _bust_out(world, quota["bust_out"]),
        _device_farm(world, quota["device_farm"]),
    ]
    rows = Rows.concat(parts)
    return rows.take(rows.time_ms < world.days * DAY_MS)


def skim(rng: np.random.Generator, rows: Rows, days: int, merchants: Merchants, frauds: int) -> Rows:
    """Return the rows with a share of them turned into frauds of compromised merchants.

    A merchant is skimmed for some weeks. Who paid there in that time has a copied card, and later payments
    with these cards at that merchant are the thief's: ordinary in amount, place and hour; only the merchant
    gives them away.
    """
    wanted = max(1, round(SHARES["compromised_merchant"] * frauds))
    # After so many frauds a merchant is found out, so that no single one makes up the pattern.
    found_out = max(8, wanted // 15)
    pattern = rows.pattern.copy()
    candidates = np.flatnonzero((rows.merchant != NONE) & (rows.pattern == 0))
    candidates = candidates[np.argsort(rows.merchant[candidates], kind="stable")]
    bounds = np.searchsorted(rows.merchant[candidates], np.arange(len(merchants) + 1))
    counts = np.diff(bounds)
    # Skimmers choose places with some trade, but not the giants, who would notice at once.
    middling = np.argsort(counts, kind="stable")[len(merchants) * 4 // 10 : len(merchants) * 19 // 20]
    for merchant in rng.permutation(middling):
        if wanted <= 0:
            break
        at = candidates[bounds[merchant] : bounds[merchant + 1]]
        start = rng.uniform(0.02, 0.85) * days * DAY_MS
        end = start + rng.uniform(25, 50) * DAY_MS
        at = at[(rows.time_ms[at] >= start) & (rows.time_ms[at] < end)]
        copied = _seen_before(rows.customer[at]) & (rng.random(len(at)) < 0.9)
        stolen = at[copied][: min(wanted, found_out)]
        pattern[stolen] = 1 + FRAUD_PATTERNS.index("compromised_merchant")
        wanted -= len(stolen)
    return replace(rows, pattern=pattern)


def _card_testing(world: World, quota: int) -> Rows:
    """Return attacks that try a stolen card with tiny amounts in minutes, then buy something large with it."""
    rng = world.rng
    cards = max(1, round(quota / 7.5))
    # Thieves try cards by the handful: one merchant, one day, often one device.
    group = np.sort(rng.integers(0, max(1, cards // 3), cards))
    groups = int(group.max()) + 1
    moment = world.moments(groups, 0.05, 0.97)
    begin = world.rows.time_ms[moment][group]
    begin += np.minimum(rng.exponential(10 * HOUR_MS, cards), world.left_ms(begin) / 2).astype(np.int64)
    shared = rng.random(groups) < 0.5
    device = np.where(shared[group], world.new_devices(groups)[group], world.new_devices(cards))
    tests = rng.integers(4, 10, cards)
    card, step = _steps(tests + 1)
    last = step == tests[card]

    pause = rng.exponential(45_000, len(card)) + 2_000
    pause = np.where(last, rng.uniform(4, 90, len(card)) * MINUTE_MS, pause)
    large = world.customers.typical[world.victims(moment[group])] * np.exp(rng.normal(2.0, 0.7, cards))
    amount = np.where(last, np.maximum(large, 60.0)[card], rng.uniform(0.5, 4.0, len(card)))
    place = np.where(rng.random(groups) < 0.3, rng.integers(0, len(CITIES), groups), NONE)
    return _online(
        world,
        "card_testing",
        time_ms=begin[card] + _running_sum(pause, step),
        customer=world.victims(moment[group])[card],
        merchant=np.where(last, world.sites(len(card), dear=True), world.sites(groups)[group][card]),
        device=device[card],
        amount=np.where(last, price_points(rng, amount), amount),
        city=place[group][card],
    )


def _account_takeover(world: World, quota: int) -> Rows:
    """Return attacks that use a customer's account from a new device far away, mostly at night, for large amounts.

    A third is careful: the place is hidden, the amounts are the customer's own, and often so is the device
    (malware).
    """
    rng = world.rng
    rows, customers = world.rows, world.customers
    accounts = max(1, round(quota / 3))
    hour = rows.time_ms % DAY_MS // HOUR_MS
    in_reach = (rows.time_ms > 0.03 * world.days * DAY_MS) & (rows.time_ms < (world.days - 0.5) * DAY_MS)
    placed = ~np.isnan(rows.lat) & in_reach
    # The thief comes in the hours after a payment of the victim: from the evening on he has the night for himself.
    evening = np.flatnonzero(placed & (hour >= 19))
    anchor = np.where(
        rng.random(accounts) < 0.7, rng.choice(evening, accounts), rng.choice(np.flatnonzero(placed), accounts)
    )
    begin = rows.time_ms[anchor] + (rng.uniform(0.3, 7.0, accounts) * HOUR_MS).astype(np.int64)
    careful = rng.random(accounts) < 0.33
    account, step = _steps(rng.integers(1, 6, accounts))
    pause = rng.exponential(18 * MINUTE_MS, len(account)) + 20_000
    times = np.where(careful, 1.3, rng.lognormal(1.5, 0.5, accounts))
    amount = (customers.typical[rows.customer[anchor]] * times)[account] * rng.lognormal(0, 0.4, len(account))
    own_device = careful & (rng.random(accounts) < 0.5)
    device = np.where(own_device, customers.phone[rows.customer[anchor]], world.new_devices(accounts))
    far = far_cities(rng, rows.lat[anchor], rows.long[anchor])
    return _online(
        world,
        "account_takeover",
        time_ms=begin[account] + _running_sum(pause, step),
        customer=rows.customer[anchor][account],
        merchant=world.sites(len(account), dear=True),
        device=device[account],
        amount=price_points(rng, amount),
        city=np.where(careful | (rng.random(accounts) < 0.15), NONE, far)[account],
    )


def _bust_out(world: World, quota: int) -> Rows:
    """Return attacks by customers themselves, who raise their amounts over days and never pay the bill."""
    rng, customers = world.rng, world.customers
    accounts = max(1, round(quota / 11))
    moment = world.moments(accounts, 0.15, 0.85)
    customer = world.victims(moment)
    number = rng.integers(7, 16, accounts)
    account, step = _steps(number)
    begin = world.rows.time_ms[moment]
    length_ms = np.minimum(rng.uniform(3, 10, accounts) * DAY_MS, world.left_ms(begin))
    hour = (customers.peak_hour[customer][account] + rng.normal(0, 3, len(account))) % 24
    about = begin[account] + (step + 1) * (length_ms / number)[account]
    time_ms = (about // DAY_MS * DAY_MS + hour * HOUR_MS).astype(np.int64)
    top = rng.uniform(12, 40, accounts)
    rise = np.exp(np.log(top)[account] * step / (number - 1)[account])
    spent = customers.typical[customer][account] * rise * rng.lognormal(0, 0.2, len(account))
    return _online(
        world,
        "bust_out",
        time_ms=time_ms,
        customer=customer[account],
        merchant=world.sites(len(account)),
        device=customers.phone[customer][account],
        amount=price_points(rng, spent),
        city=np.where(rng.random(len(account)) < 0.6, customers.city[customer][account], NONE),
    )


def _device_farm(world: World, quota: int) -> Rows:
    """Return attacks from a few devices, each of which pays for many customers, stolen or made up, for days."""
    rng = world.rng
    farms = max(1, round(quota / 22))
    size = np.clip(rng.poisson(quota / farms, farms), 4, None)
    farm, _ = _steps(size)
    moment = world.moments(farms, 0.05, 0.92)
    customer = world.victims(moment[farm])
    made_up = np.flatnonzero(rng.random(len(farm)) < SPARE_SHARE)
    spares = world.made_up_customers(len(made_up))
    customer[made_up[: len(spares)]] = spares
    begin = world.rows.time_ms[moment]
    length_ms = np.minimum(rng.uniform(0.3, 5, farms) * DAY_MS, world.left_ms(begin))
    sites = world.sites(farms * 4).reshape(farms, 4)
    place = np.where(rng.random(farms) < 0.5, rng.integers(0, len(CITIES), farms), NONE)
    return _online(
        world,
        "device_farm",
        time_ms=begin[farm] + (rng.random(len(farm)) * length_ms[farm]).astype(np.int64),
        customer=customer,
        merchant=sites[farm, rng.integers(0, 4, len(farm))],
        device=world.new_devices(farms)[farm],
        amount=price_points(rng, 45.0 * rng.lognormal(0, 0.7, len(farm))),
        city=place[farm],
    )


def _online(
    world: World,
    pattern: str,
    *,
    time_ms: Ints,
    customer: Ints,
    merchant: Ints,
    device: Ints,
    amount: Floats,
    city: Ints,
) -> Rows:
    """Return online frauds; the place is near the city's centre, or near home for a customer in the own city."""
    n = len(time_ms)
    at_home = city == world.customers.city[customer]
    lat = np.where(at_home, world.customers.lat[customer], CITY_LAT[city]) + world.rng.normal(0, 0.02, n)
    long = np.where(at_home, world.customers.long[customer], CITY_LONG[city]) + world.rng.normal(0, 0.02, n)
    return Rows(
        time_ms=time_ms.astype(np.int64),
        customer=customer,
        merchant=merchant,
        device=device,
        amount=amount,
        kind=np.full(n, ONLINE),
        city=city,
        lat=np.where(city == NONE, np.nan, lat),
        long=np.where(city == NONE, np.nan, long),
        pattern=np.full(n, 1 + FRAUD_PATTERNS.index(pattern)),
    )


def _steps(lengths: Ints) -> tuple[Ints, Ints]:
    """Return (which, step) of sequences with these lengths, laid end to end.

    >>> [x.tolist() for x in _steps(np.array([2, 1]))]
    [[0, 0, 1], [0, 1, 0]]
    """
    which = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum(lengths) - lengths
    return which, np.arange(len(which)) - starts[which]


def _running_sum(values: Floats, step: Ints) -> Ints:
    """Return the running sums of values (n,) that begin anew at each step 0, truncated to integers."""
    total = np.cumsum(values)
    before = np.where(step == 0, total - values, -np.inf)
    return (total - np.maximum.accumulate(before)).astype(np.int64)


def _seen_before(customer: Ints) -> Bools:
    """Return for each payment (n,) in order of time whether the customer has an earlier one."""
    seen = np.ones(len(customer), np.bool_)
    seen[np.unique(customer, return_index=True)[1]] = False
    return seen
