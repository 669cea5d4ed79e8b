"""What a decision costs as things grow: history, micro-batch, features, entities, and ingress replicas.

    python -m loadtests.growth --results results/growth
    python -m loadtests.growth --results results/growth --entities 1000000 --home .tollgate

The store is a Valkey of the command's own, with its append-only file on; features and models run in this
process, without Ray. With ``--home`` the stack of that folder is measured, too, with one ingress replica and with
two. Left in the results folder: ``growth.json``, ``growth.csv`` and ``growth.png``.
"""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import redis
import typer
from rich.console import Console
from rich.table import Table

from cluster.reporting import reporting, standing_settings
from loadtests import growth_replicas
from loadtests.growth_measures import Measure, growth_exponent, series, write_csv, write_json
from loadtests.growth_models import COLUMNS, feature_growth
from loadtests.growth_plot import write_plot
from loadtests.growth_replicas import replica_growth
from loadtests.growth_store import (
    BATCHES,
    HISTORIES,
    batch_growth,
    entity_growth,
    entity_sizes,
    history_growth,
    merchant_bytes,
    own_valkey,
)
from training.progress import progress_bar


class Section(StrEnum):
    """What grows."""

    HISTORY = "history"
    BATCH = "batch"
    ENTITIES = "entities"
    FEATURES = "features"
    REPLICAS = "replicas"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run measures.

    Attributes:
        sections: what grows; replicas need a ``home``.
        entities: customers of the largest store.
        home: of the running stack whose ingress replicas are measured.
        seconds: of one run of wrk.
    """

    sections: frozenset[Section]
    entities: int
    home: Path | None = None
    seconds: int = 8

    def steps(self) -> int:
        """Return how many sizes are measured in all."""
        sizes = {
            Section.HISTORY: len(HISTORIES),
            Section.BATCH: len(BATCHES),
            Section.ENTITIES: len(entity_sizes(self.entities)),
            Section.FEATURES: len(COLUMNS),
            Section.REPLICAS: growth_replicas.ROUNDS * len(growth_replicas.REPLICAS),
        }
        return sum(sizes[section] for section in self.sections)


def grow(plan: Plan, *, show_progress: bool) -> list[Measure]:
    """Return all measures.

    Raises:
        ClusterError, WrkFailed: as the parts say.
    """
    with progress_bar(show=show_progress) as progress:
        task = progress.add_task("Growing", total=plan.steps())
        return list(_sections(plan, lambda: progress.advance(task)))


def _sections(plan: Plan, done: Callable[[], None]) -> Iterator[Measure]:
    if plan.sections & {Section.HISTORY, Section.BATCH, Section.ENTITIES}:
        with own_valkey() as client:
            yield from _store_sections(plan, client, done)
    if Section.FEATURES in plan.sections:
        yield from feature_growth(done)
    if Section.REPLICAS in plan.sections:
        yield from replica_growth(standing_settings(plan.home), plan.seconds, done)


def _store_sections(plan: Plan, client: "redis.Redis", done: Callable[[], None]) -> Iterator[Measure]:
    if Section.HISTORY in plan.sections:
        yield from history_growth(client, done)
        yield from merchant_bytes(client)
    if Section.BATCH in plan.sections:
        yield from batch_growth(client, done)
    if Section.ENTITIES in plan.sections:
        yield from entity_growth(client, plan.entities, done)


def table_of(measures: Sequence[Measure], section: str) -> Table:
    """Return a row a value and a column a size; the last says how it grows with the size."""
    found = series(measures, section)
    sizes = sorted({one.size for one in measures if one.section == section})
    table = Table("", title=f"{section}: median (lowest-highest)", title_justify="left")
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    table.add_column("grows as size^", justify="right")
    for name, values in found.items():
        at = {one.size: str(one) for one in values}
        exponent = f"{growth_exponent(values):.2f}" if len(values) > 1 else ""
        table.add_row(f"{name}, {values[0].unit}", *(at.get(size, "") for size in sizes), exponent)
    return table


def main(
    results: Annotated[Path, typer.Option(help="Folder of what is measured.")] = Path("results/growth"),
    entities: Annotated[int, typer.Option(min=100, max=1_000_000, help="Customers at most.")] = 100_000,
    home: Annotated[
        Path | None, typer.Option(help="Measure the ingress replicas of this running stack, too.")
    ] = None,
    only: Annotated[list[Section] | None, typer.Option(help="Measure this alone; repeatable.")] = None,
    seconds: Annotated[int, typer.Option(min=1, help="Of one run of wrk at the stack.")] = 8,
) -> None:
    """Measure how latency and memory grow; the largest store takes 1.1 GB of memory a million customers."""
    sections = frozenset(only or Section) - (frozenset() if home else {Section.REPLICAS})
    if not sections:
        raise typer.BadParameter("replicas are those of a running stack: give its --home")
    with reporting():
        measures = grow(Plan(sections, entities, home, seconds), show_progress=True)
    results.mkdir(parents=True, exist_ok=True)
    about: dict[str, object] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "entities": entities,
    }
    write_json(results / "growth.json", measures, about)
    write_csv(results / "growth.csv", measures)
    write_plot(
        results / "growth.png", measures, "Cost against size: median of the rounds, bars from lowest to highest"
    )
    console = Console()
    for section in Section:
        if any(one.section == section for one in measures):
            console.print(table_of(measures, section))
    console.print(f"Results: {results / 'growth.png'}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
