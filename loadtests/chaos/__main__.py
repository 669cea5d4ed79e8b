"""Faults and changes under a steady load: what clients see, and that nothing is lost or counted twice.

    python -m loadtests.chaos faults --home .tollgate
    python -m loadtests.chaos changes --home .tollgate
    python -m loadtests.chaos soak --home .tollgate --seconds 1800 --seed 1
    python -m loadtests.chaos hosts --home /var/tmp/hosts

The client does what docs/guarantees.md asks of clients: an id of its own for each payment, the same request again
until it is decided. In the end each payment is asked for once more, the log is drained, the archive is compared
with what was told, the windows of each customer, device and merchant with what was sent, and the day is audited.
The exit code is 1 when a promise was broken. The tables are left as Markdown and JSON in the results folder.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from cluster.reporting import Home, reporting, standing_settings
from cluster.settings import ClusterSettings
from features.errors import ClusterError
from loadtests.chaos import changes as change_list
from loadtests.chaos import faults as fault_list
from loadtests.chaos.campaign import Result, run_trials
from loadtests.chaos.configured import configured
from loadtests.chaos.faults import Fault
from loadtests.chaos.hosts import faults as host_faults
from loadtests.chaos.hosts.campaign import run_host_trials
from loadtests.chaos.hosts.hosts import hosts
from loadtests.chaos.report import table_of, write
from loadtests.chaos.soak import soak
from loadtests.chaos.trial import Trial

ALL: Final = "all"
STRIKE_S: Final = 3.0
"""Second of the load at which a single fault strikes: before it, the load is seen to be whole."""

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)

Names = Annotated[str, typer.Option(help="Names with commas between, or all.")]
Seconds = Annotated[float, typer.Option(min=5, help="Of load for each, at least.")]
Rate = Annotated[float, typer.Option(min=1, help="Payments a second.")]
Seed = Annotated[int, typer.Option(help="Of customers, amounts, and the schedule.")]
Out = Annotated[Path, typer.Option(help="Folder for the tables.")]
Replicas = Annotated[int, typer.Option(min=1, help="Replicas of each deployment meanwhile.")]


def chosen(names: str, known: Sequence[str]) -> list[str]:
    """Return the names that were asked for, in the order of those that there are.

    Raises:
        ClusterError: one is unknown.
    """
    asked = list(known) if names == ALL else [name.strip() for name in names.split(",")]
    if unknown := [name for name in asked if name not in known]:
        raise ClusterError(f"{', '.join(unknown)}: unknown; there are {', '.join(known)}.")
    return [name for name in known if name in asked]


@app.command("faults")
def faults_command(
    home: Home = None,
    faults: Names = ALL,
    seconds: Seconds = 20,
    rate: Rate = 30,
    seed: Seed = 1,
    replicas: Replicas = 1,
    out: Out = Path("results/chaos"),
) -> None:
    """Strike a stack with each fault in turn; a row each."""
    with reporting():
        trials = _one_by_one(faults, fault_list.FAULTS, fault_list.WORDS, seconds)
        _command("faults", standing_settings(home), trials, (rate, seed, replicas), True, out)


@app.command("changes")
def changes_command(
    home: Home = None,
    changes: Names = ALL,
    seconds: Seconds = 20,
    rate: Rate = 30,
    seed: Seed = 1,
    replicas: Replicas = 1,
    out: Out = Path("results/chaos"),
) -> None:
    """Make each change in turn; no request may see it."""
    with reporting():
        trials = _one_by_one(changes, change_list.CHANGES, change_list.WORDS, seconds)
        _command("changes", standing_settings(home), trials, (rate, seed, replicas), False, out)


def _one_by_one(names: str, acts: Mapping[str, Fault], words: Mapping[str, str], seconds: float) -> list[Trial]:
    return [Trial(name, words[name], [(STRIKE_S, acts[name])], seconds) for name in chosen(names, list(acts))]


@app.command("soak")
def soak_command(
    home: Home = None,
    faults: Names = ALL,
    seconds: Annotated[float, typer.Option(min=30, help="Of load.")] = 1800,
    rate: Rate = 30,
    seed: Seed = 1,
    replicas: Replicas = 1,
    out: Out = Path("results/chaos"),
) -> None:
    """Strike a stack with faults of a seeded schedule, then prove that nothing is lost."""
    with reporting():
        trial = soak(chosen(faults, list(fault_list.FAULTS)), seconds, seed)
        _command("soak", standing_settings(home), [trial], (rate, seed, replicas), True, out)


@app.command("hosts")
def hosts_command(
    home: Annotated[Path, typer.Option(help="Folder for the hosts' state; one of its own.")],
    config: Annotated[Path, typer.Option(help="Serve config; a copy for trials is deployed.")] = Path(
        "serve_config.yaml"
    ),
    faults: Names = ALL,
    seconds: Seconds = 20,
    rate: Rate = 10,
    seed: Seed = 1,
    transactions: Annotated[int | None, typer.Option(help="Simulated, for a first model.")] = None,
    out: Out = Path("results/chaos"),
) -> None:
    """Run three hosts in network namespaces of this machine (needs root and iproute2) and lose each in turn.

    The registry is MLFLOW_TRACKING_URI, which the hosts must reach; default: a file in the folder.
    """
    with reporting():
        names = chosen(faults, list(host_faults.FAULTS))
        folder = home.resolve()
        registry = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder / 'mlflow.db'}"
        with hosts(folder, config.resolve(), registry, transactions) as found:
            result = run_host_trials(found, names, seconds, rate, seed, Console(stderr=True))
        _show("hosts", result, {"rate": rate, "seed": seed, "trials": names}, out)


def _command(
    name: str,
    settings: ClusterSettings,
    trials: Sequence[Trial],
    load: tuple[float, int, int],
    may_interrupt: bool,
    out: Path,
) -> None:
    rate, seed, replicas = load
    console = Console(stderr=True)
    with configured(settings, replicas) as changed:
        result = run_trials(changed, trials, rate, seed, may_interrupt, console)
    plan = {"rate": rate, "seed": seed, "replicas": replicas, "trials": [trial.name for trial in trials]}
    _show(name, result, plan, out)


def _show(name: str, result: Result, plan: dict[str, Any], out: Path) -> None:
    write(out, name, result.rows, plan)
    Console().print(table_of(result.rows))
    for sentence in result.problems:
        Console(stderr=True).print(sentence, style="red", soft_wrap=True)
    if result.problems:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
