"""From samples to figures: medians with their spread, and ratios taken within each repetition."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from loadtests.wrk import Sample


@dataclass(frozen=True, slots=True)
class Measurement:
    """One turn of one system.

    Attributes:
        rows: payments a request.
        sample: None when wrk got no success; ``problem`` says so.
        service_cores: CPU of the system's processes, in cores; nan where they are not known.
        store_cores: CPU of the online store.
        other_cores: CPU of everything else on the machine: neither system, nor store, nor wrk.
    """

    system: str
    connections: int
    repetition: int
    rows: int
    sample: Sample | None
    service_cores: float
    store_cores: float
    other_cores: float
    problem: str = ""

    @property
    def decisions_per_s(self) -> float:
        """Payments decided a second; 0 when none was."""
        return self.sample.requests_per_s * self.rows if self.sample else 0.0

    def as_record(self) -> dict[str, Any]:
        """Return it for the JSON file."""
        return asdict(self) | {"decisions_per_s": self.decisions_per_s}


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest of some values."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        """Return it as text of three digits a number.

        >>> str(Spread(2.0, 1.0, 1234.5))
        '2.00 (1.00-1,234)'
        """
        return f"{short(self.median)} ({short(self.lowest)}-{short(self.highest)})"


def short(value: float) -> str:
    """Return a number with three digits, or all of them before the point.

    >>> short(12.345)
    '12.3'
    """
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


Value = Callable[[Measurement], float]


def rate(measurement: Measurement) -> float:
    """Return decisions a second."""
    return measurement.decisions_per_s


def p50_ms(measurement: Measurement) -> float:
    """Return the median latency, nan without a sample."""
    return measurement.sample.p50_ms if measurement.sample else float("nan")


def p99_ms(measurement: Measurement) -> float:
    """Return the 99th percentile of latency, nan without a sample."""
    return measurement.sample.p99_ms if measurement.sample else float("nan")


def spread(values: Sequence[float]) -> Spread | None:
    """Return median, lowest and highest of the values that are numbers, None when there is none."""
    known = [value for value in values if value == value]
    return Spread(median(known), min(known), max(known)) if known else None


def pick(measurements: Iterable[Measurement], system: str, connections: int) -> list[Measurement]:
    """Return the turns of a system at some number of connections, by repetition."""
    found = [m for m in measurements if m.system == system and m.connections == connections]
    return sorted(found, key=lambda m: m.repetition)


def ratios(over: Iterable[Measurement], under: Iterable[Measurement], value: Value) -> Spread | None:
    """Return the spread of ``over / under``, each taken within a repetition; None when no repetition has both.

    The machine drifts by a factor of two within an hour, so a ratio of medians would mix its moods.
    """
    divisors = {m.repetition: value(m) for m in under}
    return spread(
        [value(m) / divisors[m.repetition] for m in over if m.sample and divisors.get(m.repetition, 0) > 0]
    )


def failed(measurements: Iterable[Measurement]) -> int:
    """Return how many answers were no success or did not come, in all turns that had a success at all."""
    return sum(m.sample.failed for m in measurements if m.sample)
