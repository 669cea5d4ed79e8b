"""The world as the attackers find it."""

from dataclasses import dataclass

import numpy as np

from features.definitions import DAY_MS
from training.simulation.ordinary import kiosks
from training.simulation.places import CATEGORIES
from training.simulation.population import Customers, Ints, Merchants
from training.simulation.rows import Rows


@dataclass(slots=True)
class World:
    """The ordinary payments in order of time, and the next device and made-up customer that are free."""

    rng: np.random.Generator
    rows: Rows
    days: int
    customers: Customers
    merchants: Merchants
    next_device: int
    next_spare: int

    @classmethod
    def of(
        cls, rng: np.random.Generator, rows: Rows, days: int, customers: Customers, merchants: Merchants
    ) -> "World":
        """Return a world in which no attacker has been yet."""
        first_spare = len(customers) - customers.spare
        return cls(rng, rows, days, customers, merchants, customers.devices + kiosks(customers), first_spare)

    def left_ms(self, time_ms: Ints) -> Ints:
        """Return how long it is from each time (n,) to the end, in milliseconds, less a tenth."""
        return (self.days * DAY_MS - time_ms) * 9 // 10

    def new_devices(self, n: int) -> Ints:
        """Return n devices that nobody used before."""
        self.next_device += n
        return np.arange(self.next_device - n, self.next_device)

    def made_up_customers(self, n: int) -> Ints:
        """Return at most n customers that nobody saw before."""
        n = min(n, len(self.customers) - self.next_spare)
        self.next_spare += n
        return np.arange(self.next_spare - n, self.next_spare)

    def moments(self, n: int, low: float, high: float) -> Ints:
        """Return n row numbers, uniform in the part low..high of the ordinary payments (0..1)."""
        return self.rng.integers(int(low * len(self.rows)), max(1, int(high * len(self.rows))), n)

    def victims(self, before: Ints) -> Ints:
        """Return a customer for each row number of (n,): one who paid before that row."""
        return self.rows.customer[(self.rng.random(len(before)) * (before + 1)).astype(np.int64)]

    def sites(self, n: int, *, dear: bool = False) -> Ints:
        """Return n web merchants, by popularity; with ``dear`` those that sell dear things."""
        among = self.merchants.web
        if dear:
            among = among & np.array([c.median > 80 for c in CATEGORIES])[self.merchants.category]
        return self.merchants.draw(self.rng, among, n)
