"""What a run of locust left in its results folder, read back from the CSV files."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.errors import TollgateError

PREFIX: Final = "locust"
"""Locust writes ``locust_stats.csv``, ``locust_stats_history.csv``, ``locust_failures.csv``, ..."""
REPORT: Final = "report.html"
LOG: Final = "locust.log"
_TOTAL: Final = "Aggregated"
_NO_VALUE: Final = ("", "N/A")


class LoadTestFailed(TollgateError):
    """A load test did not run to its end; the message says why."""


@dataclass(frozen=True, slots=True)
class Totals:
    """One endpoint, or all together, over a whole run. Latencies are None where nothing was answered."""

    name: str
    requests: int
    failures: int
    requests_per_s: float
    p50_ms: float | None
    p99_ms: float | None

    @property
    def failed_share(self) -> float:
        """Failed requests / requests; 0 where there was no request."""
        return self.failures / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Moment:
    """One second of a run: rate and percentiles are those of the last ten seconds."""

    time_s: int
    users: int
    requests_per_s: float
    failures_per_s: float
    p50_ms: float | None
    p99_ms: float | None


def read_totals(folder: Path) -> list[Totals]:
    """Return the totals of each endpoint, and those of all together as the last.

    Raises:
        LoadTestFailed: locust left no totals.
    """
    rows = _rows(folder / f"{PREFIX}_stats.csv")
    return [
        Totals(
            f"{row['Type']} {row['Name']}".strip(),
            int(row["Request Count"]),
            int(row["Failure Count"]),
            float(row["Requests/s"]),
            _number(row["50%"]),
            _number(row["99%"]),
        )
        for row in rows
    ]


def read_moments(folder: Path) -> list[Moment]:
    """Return the course of a run, all endpoints together, in order of time.

    Raises:
        LoadTestFailed: locust left no history.
    """
    return [
        Moment(
            int(row["Timestamp"]),
            int(row["User Count"]),
            float(row["Requests/s"]),
            float(row["Failures/s"]),
            _number(row["50%"]),
            _number(row["99%"]),
        )
        for row in _rows(folder / f"{PREFIX}_stats_history.csv")
        if row["Name"] == _TOTAL
    ]


def read_failures(folder: Path) -> list[tuple[str, int]]:
    """Return why requests failed, and how often each, the most frequent first."""
    rows = _rows(folder / f"{PREFIX}_failures.csv")
    return sorted(((row["Error"], int(row["Occurrences"])) for row in rows), key=lambda found: -found[1])


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise LoadTestFailed(f"locust left no {path.name}; its log is {path.parent / LOG}.") from error


def _number(text: str) -> float | None:
    return None if text in _NO_VALUE else float(text)
