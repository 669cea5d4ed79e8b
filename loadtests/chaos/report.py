"""The table of faults: on the terminal, as Markdown and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from loadtests.chaos.row import Row

COLUMNS: Final = (
    "requests",
    "failed",
    "503",
    "no answer",
    "degraded",
    "two answers",
    "lost",
    "counted twice",
    "not counted",
    "recovered, s",
)
"""Headings behind the name of the fault."""


NARROW: Final = ("sent", "failed", "503", "cut", "degr.", "differ", "lost", "twice", "missed", "s")
"""The same for a terminal of 80 columns."""


def cells(row: Row) -> list[str]:
    """Return the figures of a row, as ``COLUMNS`` has them."""
    figures = (
        row.requests,
        row.failed,
        sum(row.busy.values()),
        sum(row.unanswered.values()) + sum(row.wrong.values()),
        row.degraded,
        row.told_twice + row.otherwise + row.anew,
        row.lost,
        row.counted_twice + row.archived_twice,
        row.uncounted,
    )
    return [*(f"{figure:,}" for figure in figures), f"{row.recovered_s:.1f}"]


def table_of(rows: Sequence[Row]) -> Table:
    """Return the table for the terminal."""
    table = Table("fault", *NARROW, box=None)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(row.name, *cells(row))
    return table


def markdown(rows: Sequence[Row]) -> str:
    """Return the table as Markdown."""
    lines = [f"| fault | {' | '.join(COLUMNS)} |", f"|---|{'---:|' * len(COLUMNS)}"]
    lines += [f"| {row.words} | {' | '.join(cells(row))} |" for row in rows]
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, rows: Sequence[Row], plan: dict[str, Any]) -> None:
    """Write ``<name>.md`` and ``<name>.json``; the latter has every figure, and what was run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown(rows))
    document = {"plan": plan, "rows": [row.document() for row in rows]}
    (folder / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
