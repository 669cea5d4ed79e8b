"""What a growth run measures: a value at a size, as the median of several rounds, with lowest and highest."""

import csv
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Measure:
    """One value at one size.

    Attributes:
        section: what grows: "history", "batch", "features", "entities" or "replicas".
        size: how large it was.
        name: what was measured.
        unit: of the values.
        median, lowest, highest: over the rounds; all equal where it was measured once.
    """

    section: str
    size: int
    name: str
    unit: str
    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        """Return the value as people read it.

        >>> str(Measure("batch", 64, "store", "ms", 2.0, 1.5, 2.5))
        '2.00 (1.50-2.50)'
        """
        if self.lowest == self.highest:
            return _form(self.median)
        return f"{_form(self.median)} ({_form(self.lowest)}-{_form(self.highest)})"


def measure(section: str, size: int, name: str, unit: str, rounds: Sequence[float]) -> Measure:
    """Return the measure of the values of several rounds."""
    return Measure(section, size, name, unit, median(rounds), min(rounds), max(rounds))


def timed_us(call: Callable[[], object], calls: int, rounds: int = ROUNDS, *, warm: bool = True) -> list[float]:
    """Return for each round the median time of a call, in microseconds.

    A median, because on a machine that does other things a mean is mostly what the others did.

    Args:
        warm: call once before, which is not counted.
    """
    if warm:
        call()
    return [median(_one_us(call) for _ in range(calls)) for _ in range(rounds)]


def growth_exponent(measures: Sequence[Measure]) -> float:
    """Return how a value grows with the size, between the smallest and the largest: 0 not at all, 1 linearly.

    >>> growth_exponent([Measure("batch", size, "t", "us", size * 3, 0, 0) for size in (1, 10, 100)])
    1.0
    """

    ordered = sorted(measures, key=lambda one: one.size)
    first, last = ordered[0], ordered[-1]
    if first.size == last.size or min(first.median, last.median) <= 0:
        return 0.0
    return round(math.log(last.median / first.median) / math.log(last.size / first.size), 3)


def series(measures: Sequence[Measure], section: str) -> dict[str, list[Measure]]:
    """Return the measures of a section by name, each in order of size."""
    found: dict[str, list[Measure]] = {}
    for one in sorted((m for m in measures if m.section == section), key=lambda m: m.size):
        found.setdefault(one.name, []).append(one)
    return found


def write_json(path: Path, measures: Sequence[Measure], about: dict[str, object]) -> None:
    """Write all measures, and what they were measured on."""
    path.write_text(json.dumps({"about": about, "measures": [asdict(one) for one in measures]}, indent=1) + "\n")


def write_csv(path: Path, measures: Sequence[Measure]) -> None:
    """Write a row a measure."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(Measure.__slots__))
        writer.writeheader()
        writer.writerows(asdict(one) for one in measures)


def _one_us(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e6


def _form(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
