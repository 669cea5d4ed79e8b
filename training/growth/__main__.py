"""How training grows with the history, on this machine: time of each step, and memory of all processes.

    python -m training.growth --home /data --sizes 1,2,5,10,20
    python -m training.growth --home /data --source transactions.parquet --mapping handbook

Each size is simulated and trained on; a table of one's own is ingested and trained on. What was measured stays in
the results folder, a JSON file a size, and a size whose file is there is not measured again: a run that is stopped
goes on where it was. Beside them: ``growth.json`` with all sizes, and ``growth.png``.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from training.growth.measure import Growth, measure
from training.growth.plot import write_plot

MILLION = 1_000_000


def main(
    home: Annotated[Path, typer.Option(help="Folder for histories and temporary files, removed size by size.")],
    sizes: Annotated[str, typer.Option(help="Millions of transactions, with commas between.")] = "1,2,5,10,20",
    results: Annotated[Path, typer.Option(help="Folder of what is measured.")] = Path("results/training-growth"),
    source: Annotated[
        Path | None, typer.Option(help="Measure ingesting and training on this table, and no sizes.")
    ] = None,
    mapping: Annotated[str, typer.Option(help="Of the source, as for `tollgate ingest`.")] = "tollgate",
) -> None:
    """Measure time and memory of training; 20 million transactions need some 20 GB of disk."""
    console = Console(stderr=True)
    home.mkdir(parents=True, exist_ok=True)
    results.mkdir(parents=True, exist_ok=True)
    if source is not None:
        found = [measure(home, 0, source, mapping, entering=console.print)]
        (results / "source.json").write_text(found[0].model_dump_json(indent=1), encoding="utf-8")
    else:
        found = [_once(home, results, _rows(size), console) for size in sizes.split(",")]
        everything = [one.model_dump() for one in found]
        (results / "growth.json").write_text(json.dumps(everything, indent=1), encoding="utf-8")
        write_plot(results / "growth.png", found)
    Console().print(table_of(found))


def _rows(size: str) -> int:
    """Return the number of transactions that a size in millions stands for.

    >>> _rows("0.2")
    200000
    """
    return round(float(size) * MILLION)


def _once(home: Path, results: Path, transactions: int, console: Console) -> Growth:
    """Return what a size took, measured now unless it was before."""
    path = results / f"{transactions}.json"
    if path.exists():
        return Growth.model_validate_json(path.read_text("utf-8"))
    found = measure(home, transactions, entering=lambda step: console.print(f"{transactions:,}: {step}"))
    path.write_text(found.model_dump_json(indent=1), encoding="utf-8")
    console.print(f"{transactions:,}: {found.seconds:.0f} s, {found.peak_mib:,.0f} MiB")
    return found


def table_of(found: list[Growth]) -> Table:
    """Return a row a step and a column a size: seconds, and MiB of all processes at most."""
    table = Table("transactions", title="Seconds / MiB of all processes at most", title_justify="left")
    for one in found:
        table.add_column(f"{one.transactions:,}", justify="right")
    for name in dict.fromkeys(name for one in found for name in one.steps):
        steps = [one.steps.get(name) for one in found]
        table.add_row(name, *(f"{step.seconds:.0f} / {step.peak_mib:,.0f}" if step else "" for step in steps))
    table.add_row("all but simulate", *(f"{one.seconds:.0f} / {one.peak_mib:,.0f}" for one in found))
    table.add_row("temporary files, MiB", *(f"{one.files_mib:,.0f}" for one in found))
    return table


if __name__ == "__main__":
    typer.run(main)
