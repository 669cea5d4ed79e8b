"""The result as tables, one a number of connections, and as JSON with every sample."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from loadtests.compare.figures import (
    Measurement,
    Spread,
    failed,
    p50_ms,
    p99_ms,
    pick,
    rate,
    ratios,
    short,
    spread,
)
from loadtests.compare.systems import REFERENCE, System

CLIENT_SHARE: Final = 0.25
"""Share of the machine's cores from which the client itself is said to weigh on a figure."""
OTHER_SHARE: Final = 0.1
"""Share of the machine's cores from which something else is said to weigh on a figure."""


@dataclass(frozen=True)
class Result:
    """A whole run.

    Attributes:
        facts: options, machine, versions, bundle, store: whatever explains the figures.
        unavailable: system name to the reason why it was not measured.
    """

    systems: Sequence[System]
    measurements: Sequence[Measurement]
    unavailable: Mapping[str, str]
    facts: Mapping[str, Any]

    @property
    def levels(self) -> list[int]:
        """All numbers of connections, ascending."""
        return sorted({m.connections for m in self.measurements})


def tables(result: Result) -> Iterator[Table]:
    """Yield one table for each number of connections, one of the bulk roads, one of what was not measured."""
    for connections in result.levels:
        yield _level(result, connections)
    if roads := list(_roads(result)):
        table = Table("", title="Bulk, at its best", title_justify="left")
        table.add_column("ratio, within repetitions", justify="right")
        for name, found in roads:
            table.add_row(name, _text(found))
        yield table
    if result.unavailable:
        table = Table("not measured", "reason", title_justify="left")
        for name, reason in result.unavailable.items():
            table.add_row(Text(_title(result, name)), Text(reason))
        yield table


def _level(result: Result, connections: int) -> Table:
    reference = pick(result.measurements, REFERENCE, connections)
    repetitions = len({m.repetition for m in result.measurements})
    title = f"{connections} connections, {repetitions} repetitions: median (lowest-highest)"
    table = Table("", title=title, title_justify="left")
    for column in (
        "decisions/s",
        "Tollgate / it",
        "p50 ms",
        "Tollgate / it",
        "p99 ms",
        "failed",
        "cores",
        "client",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for system in result.systems:
        own = pick(result.measurements, system.name, connections)
        if not own:
            continue
        count, silent = failed(own), sum(m.sample is None for m in own)
        fails = f"{count:,}" + (f", {silent} turns silent" if silent else "")
        cells = (
            _text(spread([rate(m) for m in own if m.sample])),
            "" if system.name == REFERENCE else _text(ratios(reference, own, rate)),
            _text(spread(list(map(p50_ms, own)))),
            "" if system.name == REFERENCE else _text(ratios(reference, own, p50_ms)),
            _text(spread(list(map(p99_ms, own)))),
            fails,
            _text(spread([m.service_cores for m in own]), alone=True),
            _text(spread([m.sample.client_cores for m in own if m.sample]), alone=True),
        )
        mark = Text(f"! {system.title}", "red") if count or silent else Text(system.title)
        table.add_row(mark, *cells)
    return table


def _roads(result: Result) -> Iterator[tuple[str, Spread | None]]:
    """Yield the ratios of the bulk roads; each at the number of connections where its median is highest."""
    single = _best(result, REFERENCE)
    json_bulk = _best(result, "tollgate_json_bulk")
    arrow_bulk = _best(result, "tollgate_arrow_bulk")
    if single and json_bulk:
        yield "JSON bulk / single, transactions a second", ratios(json_bulk, single, rate)
    if json_bulk and arrow_bulk:
        yield "Arrow bulk / JSON bulk, transactions a second", ratios(arrow_bulk, json_bulk, rate)


def _best(result: Result, name: str) -> list[Measurement]:
    found = [pick(result.measurements, name, connections) for connections in result.levels]
    rates = [(spread([rate(m) for m in own]), own) for own in found if own]
    return max(rates, key=lambda one: one[0].median if one[0] else 0.0)[1] if rates else []


def remarks(result: Result) -> list[str]:
    """Return sentences on what weighs on the figures: failures, the client's own CPU, other processes."""
    cores = float(result.facts["machine"]["cores"])
    found = []
    if any(failed([m]) or m.sample is None for m in result.measurements):
        found.append("Systems marked with ! had answers that failed: their figures are of what succeeded.")
    problems = {m.problem: m for m in result.measurements if m.sample is None}
    found += [f"{_title(result, m.system)} at {m.connections}: {problem}" for problem, m in problems.items()]
    heaviest = max((m.sample.client_cores for m in result.measurements if m.sample), default=0.0)
    if heaviest > CLIENT_SHARE * cores:
        names = {_title(result, m.system) for m in result.measurements if _client(m) > CLIENT_SHARE * cores}
        found.append(
            f"The client took up to {heaviest:.2f} of {cores:.0f} cores, which the system under test did not have:"
            f" {', '.join(sorted(names))}."
        )
    others = sorted(m.other_cores for m in result.measurements if not math.isnan(m.other_cores))
    disturbed = sum(value > OTHER_SHARE * cores for value in others)
    if disturbed:
        found.append(
            f"Other processes took more than {OTHER_SHARE * cores:.1f} cores in {disturbed} of {len(others)} turns"
            f" (at most {others[-1]:.2f}): this machine was not quiet, so trust the ratios alone."
        )
    return found


def _client(measurement: Measurement) -> float:
    return measurement.sample.client_cores if measurement.sample else 0.0


def write_json(result: Result, path: Path) -> None:
    """Write everything: facts, settings in words, every sample, what was not measured, and why."""
    content = {
        **result.facts,
        "systems": [
            {"name": s.name, "title": s.title, "does": s.does, "settings": s.settings, "rows": s.rows}
            for s in result.systems
        ],
        "unavailable": dict(result.unavailable),
        "remarks": remarks(result),
        "measurements": [_without_nan(m.as_record()) for m in result.measurements],
    }
    path.write_text(json.dumps(content, indent=1, allow_nan=False), encoding="utf-8")


def _without_nan(record: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in record.items()
    }


def _title(result: Result, name: str) -> str:
    return next((system.title for system in result.systems if system.name == name), name)


def _text(found: Spread | None, alone: bool = False) -> str:
    if found is None:
        return "-"
    return short(found.median) if alone else str(found)
