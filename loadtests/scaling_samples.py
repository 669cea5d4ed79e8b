"""What a scaling run is made of, second by second: replicas from Serve, rate and latency from locust."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.serve_rest import Application
from loadtests.results import Moment


@dataclass(frozen=True, slots=True)
class Replicas:
    """The replicas of each deployment at one moment, in seconds since the epoch: (running, wanted) by name."""

    time_s: float
    counts: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, time_s: float, applications: Sequence[Application]) -> "Replicas":
        """Return what Serve reports; deployments of several applications must differ in name."""
        return cls(time_s, {d.name: (d.replicas, d.wanted) for found in applications for d in found.deployments})


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a run; the time counts from its start. What locust had not measured yet is None."""

    time_s: float
    users: int
    requests_per_s: float | None
    failures_per_s: float | None
    p50_ms: float | None
    p99_ms: float | None
    replicas: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Course:
    """How the replicas of one deployment went: at the start, at most, and at the end of the run."""

    name: str
    first: int
    most: int
    last: int
    rose_s: float | None
    """When more replicas ran than at the start for the first time, in seconds from the start."""
    fell_s: float | None
    """When the number was back at that of the start after it."""


def join(samples: Sequence[Replicas], moments: Sequence[Moment]) -> list[Second]:
    """Return the seconds of a run, from the first sample on: each with what locust measured in that second."""
    at = {moment.time_s: moment for moment in moments}
    seconds = []
    for sample in samples:
        moment = at.get(int(sample.time_s)) or at.get(int(sample.time_s) - 1)
        seconds.append(
            Second(
                round(sample.time_s - samples[0].time_s, 1),
                moment.users if moment else 0,
                moment.requests_per_s if moment else None,
                moment.failures_per_s if moment else None,
                moment.p50_ms if moment else None,
                moment.p99_ms if moment else None,
                sample.counts,
            )
        )
    return seconds


def courses(seconds: Sequence[Second]) -> list[Course]:
    """Return the course of each deployment."""
    found = []
    for name in sorted({name for second in seconds for name in second.replicas}):
        running = [(second.time_s, second.replicas.get(name, (0, 0))[0]) for second in seconds]
        first, most, last = running[0][1], max(count for _, count in running), running[-1][1]
        rose_s = next((time_s for time_s, count in running if count > first), None)
        fell_s = None
        if rose_s is not None and last <= first:
            fell_s = next(t for (t, _), (_, before) in _steps(running) if before > first and t > rose_s)
        found.append(Course(name, first, most, last, rose_s, fell_s))
    return found


def _steps(running: Sequence[tuple[float, int]]) -> list[tuple[tuple[float, int], tuple[float, int]]]:
    """Return each (time, count) after a change with the one before it, the latest first."""
    pairs = zip(running[1:], running[:-1], strict=True)
    return [(now, before) for now, before in reversed(list(pairs)) if now[1] != before[1]]


def write_csv(path: Path, seconds: Sequence[Second]) -> None:
    """Write a row a second, with two columns a deployment: replicas that run, and that Serve wants."""
    names = sorted({name for second in seconds for name in second.replicas})
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        counts = [f"{name}_{what}" for name in names for what in ("running", "wanted")]
        writer.writerow(["time_s", "users", "requests_per_s", "failures_per_s", "p50_ms", "p99_ms", *counts])
        for second in seconds:
            values = (second.requests_per_s, second.failures_per_s, second.p50_ms, second.p99_ms)
            replicas = [count for name in names for count in second.replicas.get(name, ("", ""))]
            row = ["" if value is None else value for value in values]
            writer.writerow([second.time_s, second.users, *row, *replicas])
