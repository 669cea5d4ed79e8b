"""``python -m loadtests.compare``: install the peers, start them, check them, measure them, print and plot."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from cluster.reporting import reporting
from loadtests.compare import stack as stacks
from loadtests.compare.errors import CompareError
from loadtests.compare.field import Field
from loadtests.compare.figures import Measurement
from loadtests.compare.machine import machine, versions
from loadtests.compare.measure import Plan, run, turns
from loadtests.compare.plot import write_plot
from loadtests.compare.report import Result, remarks, tables, write_json
from loadtests.compare.store import state
from loadtests.compare.systems import SYSTEMS, System, select
from loadtests.with_echo import FOLDER
from loadtests.wrk import find_wrk

HOME: Final = Path(".tollgate/compare")
CONNECTIONS: Final = (1, 16, 64, 256)
QUICK_CONNECTIONS: Final = (1, 64)
WIDTH: Final = 170
"""Columns of the tables where the terminal does not say: a line must hold a system's figures."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where everything comes from and goes to; the options of the command say what each is."""

    home: Path
    history: int
    port_base: int
    tollgate_home: Path | None
    tollgate_url: str | None
    tollgate_port_base: int
    config: Path
    ingress_replicas: int


def compare(plan: Plan, options: Options, systems: Sequence[System], console: Console) -> Result:
    """Return the result of a whole run; every process that it started has ended then.

    Args:
        console: is told how it goes on.

    Raises:
        TollgateError: Tollgate's stack or its registry is not there, or nothing can be measured.
    """
    facts = {"started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "machine": machine()}
    with ExitStack() as undo:
        with console.status("Tollgate's stack"):
            stack = _stack(options)
        undo.callback(stacks.down, stack)
        field = Field(stack, options.home, options.port_base, plan.customers, options.history)
        undo.callback(field.stop)
        for system in systems:
            with console.status(f"{system.title}: installing, starting, checking"):
                reason = field.enter(system)
            line = Text(f"- {system.title}: {reason}", "yellow") if reason else Text(f"+ {system.title}", "green")
            console.print(line, soft_wrap=True)
        if not field.targets:
            raise CompareError("None of the systems can be measured.")
        measured = _measure(plan, field, console)
        facts |= {
            "versions": versions(systems),
            "plan": asdict(plan) | {"history": options.history, "ingress_replicas": options.ingress_replicas},
            "model_version": field.version,
            "store": state(field.client),
        }
        return Result(systems, measured, field.unavailable, facts)


def _stack(options: Options) -> stacks.Stack:
    if options.tollgate_home:
        return stacks.standing(options.tollgate_home)
    if options.tollgate_url:
        return stacks.elsewhere(options.tollgate_url)
    return stacks.up(
        options.home / "tollgate", options.tollgate_port_base, options.config, options.ingress_replicas
    )


def _measure(plan: Plan, field: Field, console: Console) -> list[Measurement]:
    total = plan.repetitions * len(turns(field.targets, plan.connections, 0))
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    measured = []
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        for measurement in run(
            plan,
            field.targets,
            field.store_processes,
            field.refresh,
            lambda what: progress.update(task, description=what),
        ):
            measured.append(measurement)
            progress.advance(task)
            if not console.is_terminal:  # A bar would not be seen there.
                rate, at = measurement.decisions_per_s, measurement.connections
                console.print(f"{len(measured)}/{total} {measurement.system} at {at}: {rate:,.0f}/s")
    return measured


app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)

_NAMES: Final = ", ".join(system.name for system in SYSTEMS)
_SERVE_CONFIG: Final = FOLDER.parent / "serve_config.yaml"


@app.command()
def main(
    home: Annotated[Path, typer.Option(help="Folder for environments, models, logs and results.")] = HOME,
    only: Annotated[list[str] | None, typer.Option(help=f"A system, repeatable: {_NAMES}.")] = None,
    connections: Annotated[
        list[int] | None, typer.Option(help="Connections, repeatable. [default: 1, 16, 64, 256]")
    ] = None,
    seconds: Annotated[int, typer.Option(min=1, help="Length of one turn.")] = 5,
    warm_up: Annotated[int, typer.Option(min=0, help="Load before each turn, in seconds.")] = 2,
    repetitions: Annotated[int, typer.Option(min=1, help="Turns of a system at each number of connections.")] = 3,
    quick: Annotated[bool, typer.Option(help="A look: 1 and 64 connections, 2 repetitions of 2 s.")] = False,
    customers: Annotated[int, typer.Option(min=1, help="Customers that pay.")] = 20_000,
    history: Annotated[int, typer.Option(min=0, help="Payments of each before a repetition.")] = 10,
    tollgate_home: Annotated[
        Path | None, typer.Option(help="State folder of a stack that stands; else one is started.")
    ] = None,
    tollgate_url: Annotated[
        str | None, typer.Option(help="Address of a stack started otherwise; never frozen, so mind its idle load.")
    ] = None,
    config: Annotated[Path, typer.Option(help="Serve config, when a stack is started.")] = _SERVE_CONFIG,
    ingress_replicas: Annotated[
        int, typer.Option(min=1, help="Of Tollgate's ingress and of the echo, when a stack is started.")
    ] = 2,
    tollgate_port_base: Annotated[int, typer.Option(help="First port, when a stack is started.")] = 25_000,
    port_base: Annotated[int, typer.Option(help="First port of the peers, of which each has ten.")] = 27_000,
    wrk: Annotated[str, typer.Option(help="The wrk command, or its path.")] = "wrk",
) -> None:
    """Measure Tollgate and its peers: same machine, same models, same client, interleaved and repeated."""
    console, errors = Console(), Console(stderr=True)
    options = Options(
        home.resolve(),
        history,
        port_base,
        tollgate_home,
        tollgate_url,
        tollgate_port_base,
        config,
        ingress_replicas,
    )
    with reporting():
        levels = tuple(dict.fromkeys(connections or CONNECTIONS))
        plan = Plan(levels, seconds, warm_up, repetitions, customers, find_wrk(wrk))
        if quick:
            plan = replace(plan, connections=QUICK_CONNECTIONS, seconds=2, warm_up_s=1, repetitions=2)
        options.home.mkdir(parents=True, exist_ok=True)
        result = compare(plan, options, select(only or ()), errors)
    show(result, options.home, console if console.is_terminal else Console(width=WIDTH))


def show(result: Result, folder: Path, console: Console) -> None:
    """Print the tables and remarks, and write compare.json and compare.png into a folder."""
    for table in tables(result):
        console.print(table)
    for remark in remarks(result):
        console.print(remark, soft_wrap=True)
    write_json(result, folder / "compare.json")
    write_plot(result, folder / "compare.png")
    console.print(f"{folder / 'compare.json'}\n{folder / 'compare.png'}", soft_wrap=True)


if __name__ == "__main__":
    app()
