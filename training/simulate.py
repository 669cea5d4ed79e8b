"""Simulate a history: months of payments with fraud of five kinds in it, for a first model and for tests.

The same seed gives the same files, byte for byte. The pattern behind each fraud is in ``fraud_pattern``; it is for
evaluation alone and never a feature.
"""

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import numpy as np

from features.definitions import DAY_MS
from training.history_files import HistoryWriter, day_of, writing_history
from training.progress import progress_bar
from training.simulation.attacks import SHARES, SPARE_SHARE, attack, skim
from training.simulation.ordinary import ordinary_payments
from training.simulation.population import Customers, Merchants, make_customers, make_merchants
from training.simulation.rows import FRAUD_PATTERNS, Names, Rows, rows_to_history
from training.simulation.world import World

DEFAULT_START: Final = date(2025, 1, 1)
MIN_TRANSACTIONS: Final = 1_000
MIN_DAYS: Final = 7
PAYMENTS_PER_CUSTOMER: Final = 80
CUSTOMERS_PER_MERCHANT: Final = 5


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """What was simulated.

    Attributes:
        out: the history folder; first_day, last_day: its days, both included.
        transactions, customers, merchants, devices: how many there are.
        patterns: number of frauds of each pattern.
        seed: what makes it come out the same again.
        bytes_written: size of the files.
        duration_s: how long it took, in seconds.
    """

    out: Path
    first_day: date
    last_day: date
    transactions: int
    customers: int
    merchants: int
    devices: int
    patterns: dict[str, int]
    seed: int
    bytes_written: int
    duration_s: float

    @property
    def frauds(self) -> int:
        """How many transactions are fraudulent."""
        return sum(self.patterns.values())


def simulate(
    out: Path,
    *,
    transactions: int = 1_000_000,
    days: int = 120,
    start: date = DEFAULT_START,
    customers: int | None = None,
    merchants: int | None = None,
    seed: int = 7,
    fraud_rate: float = 0.006,
    overwrite: bool = False,
    show_progress: bool = True,
) -> SimulationReport:
    """Write a simulated history of exactly ``transactions`` rows to ``out`` and return what it holds.

    Args:
        out: the history folder to be written.
        transactions: number of rows, at least 1,000.
        days: length of the history, at least 7.
        start: its first day (UTC).
        customers: number of customers; by default one for 80 transactions.
        merchants: number of merchants; by default one for 5 customers.
        seed: the same seed gives the same files.
        fraud_rate: share of frauds aimed at, above 0 and at most 0.2; a very small history has some more, since
            each pattern occurs at least once.
        overwrite: replace a history that is there.
        show_progress: draw a progress bar on stderr.

    Raises:
        InvalidHistory: ``out`` is not empty and ``overwrite`` is False, or holds files that are no history.
        ValueError: a number is out of its range.
    """
    _check(transactions, days, fraud_rate)
    began = time.perf_counter()
    n_customers = max(20, transactions // PAYMENTS_PER_CUSTOMER) if customers is None else customers
    n_merchants = max(100, n_customers // CUSTOMERS_PER_MERCHANT) if merchants is None else merchants
    if n_customers < 10 or n_merchants < 10:
        raise ValueError("customers and merchants must be at least 10")
    rng = np.random.default_rng(seed)
    with writing_history(out, overwrite=overwrite) as writer:
        frauds = max(1, round(transactions * fraud_rate))
        spare = round(frauds * SHARES["device_farm"] * SPARE_SHARE)
        world_merchants = make_merchants(rng, n_merchants)
        world_customers = make_customers(rng, n_customers, spare, days, world_merchants)
        rows = _payments(rng, transactions, days, start.weekday(), frauds, world_customers, world_merchants)
        _write(rng, writer, rows, days, start, world_customers, world_merchants, show_progress=show_progress)
    counts = np.bincount(rows.pattern, minlength=len(FRAUD_PATTERNS) + 1)
    return SimulationReport(
        out=out,
        first_day=writer.days[0],
        last_day=writer.days[-1],
        transactions=writer.rows,
        customers=len(np.unique(rows.customer)),
        merchants=len(np.unique(rows.merchant[rows.merchant >= 0])),
        devices=len(np.unique(rows.device[rows.device >= 0])),
        patterns={name: int(counts[i]) for i, name in enumerate(FRAUD_PATTERNS, start=1)},
        seed=seed,
        bytes_written=writer.bytes_written,
        duration_s=time.perf_counter() - began,
    )


def _check(transactions: int, days: int, fraud_rate: float) -> None:
    if transactions < MIN_TRANSACTIONS:
        raise ValueError(f"transactions must be at least {MIN_TRANSACTIONS:,}")
    if days < MIN_DAYS:
        raise ValueError(f"days must be at least {MIN_DAYS}")
    if not 0 < fraud_rate <= 0.2:
        raise ValueError("fraud_rate must be above 0 and at most 0.2")


def _payments(
    rng: np.random.Generator,
    n: int,
    days: int,
    first_weekday: int,
    frauds: int,
    customers: Customers,
    merchants: Merchants,
) -> Rows:
    """Return n payments, ordinary and fraudulent, sorted by time."""
    ordinary = ordinary_payments(rng, n, days, first_weekday, customers, merchants)
    attacks = attack(World.of(rng, ordinary, days, customers, merchants), frauds)
    # The attacks take the place of as many ordinary payments, so that the number asked for is exact.
    kept = np.sort(rng.choice(n, n - len(attacks), replace=False, shuffle=False))
    rows = Rows.concat([ordinary.take(kept), attacks])
    rows = rows.take(np.argsort(rows.time_ms, kind="stable"))
    return skim(rng, rows, days, merchants, frauds)


def _write(
    rng: np.random.Generator,
    writer: HistoryWriter,
    rows: Rows,
    days: int,
    start: date,
    customers: Customers,
    merchants: Merchants,
    *,
    show_progress: bool,
) -> None:
    names = Names.of(rng, len(customers), len(merchants), int(rows.device.max()) + 1)
    start_ms = int(datetime(start.year, start.month, start.day, tzinfo=UTC).timestamp()) * 1000
    bounds = np.searchsorted(rows.time_ms, np.arange(days + 1) * DAY_MS)
    with progress_bar(show=show_progress) as progress:
        for day in progress.track(range(days), description="Simulating days"):
            part = rows.take(np.arange(bounds[day], bounds[day + 1]))
            table = rows_to_history(part, int(bounds[day]), start_ms, customers, merchants, names)
            writer.write_day(day_of(start_ms // DAY_MS + day), table)
