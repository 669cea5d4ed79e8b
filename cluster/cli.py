"""The command ``tollgate``. Each command is a thin function over the module that does the work.

Modules that take long to import are imported by the command that needs them.
"""

import os
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster import (
    evaluation_commands,
    host_commands,
    key_commands,
    log_commands,
    model_commands,
    offline_commands,
    tuning_commands,
)
from cluster.reporting import Home, PortBase, PortOptions, reporting, standing_settings
from cluster.settings import ClusterSettings, settings_from

app = typer.Typer(
    name="tollgate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from features.definitions import fingerprint

        typer.echo(f"Tollgate {version('tollgate')}, feature definitions {fingerprint()}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show release and feature definitions, and exit.",
        ),
    ] = False,
) -> None:
    """Tollgate decides whether to approve, review or block each payment."""


@app.command("up")
def up_command(
    home: Home = None,
    config: Annotated[
        Path | None, typer.Option(help="Serve config. [env: TOLLGATE_CONFIG; default: serve_config.yaml]")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to let clients in at; any but loopback needs API keys. [env: TOLLGATE_HOST]"),
    ] = None,
    port: PortOptions = None,
    port_base: PortBase = None,
    transactions: Annotated[
        int | None, typer.Option(help="Simulated transactions for a first model, when there is none.")
    ] = None,
    node_address: Annotated[
        str | None,
        typer.Option(help="Let other machines join, at this address of ours. [env: TOLLGATE_NODE_ADDRESS]"),
    ] = None,
) -> None:
    """Start the stack on this machine, or repair it, and deploy the Serve config."""
    from cluster.steps import Steps
    from cluster.up import up

    console = Console(stderr=True)
    with reporting():
        settings = settings_from(
            os.environ,
            home=home,
            config=config,
            host=host,
            port_base=port_base,
            ports=port or (),
            transactions=transactions,
            node_address=node_address,
        )
        try:
            result = up(settings, os.environ, Steps(console))
        except KeyboardInterrupt:
            console.print(f"Interrupted. What stands: {_standing(settings)}. `tollgate down` removes it.")
            raise typer.Exit(130) from None
        if result.already_running:
            console.print("The stack was running already; the config has been deployed again.")
        _show_addresses(settings)


@app.command("down")
def down_command(home: Home = None) -> None:
    """Stop every process of the stack. The data, the models and the logs stay in the state folder."""
    from cluster.down import down
    from cluster.steps import Steps

    console = Console(stderr=True)
    with reporting():
        result = down(standing_settings(home), Steps(console))
        stopped = f"Down. {result.stopped} processes stopped."
        console.print(stopped if result.stopped else "Nothing was running.")


@app.command("upgrade-store")
def upgrade_store_command(home: Home = None) -> None:
    """Replace the embedded Valkey that runs by the installed one, on the same data, while payments are decided."""
    from cluster.steps import Steps
    from cluster.upgrade_store import upgrade_store

    console = Console(stderr=True)
    with reporting():
        before, now = upgrade_store(standing_settings(home), os.environ, Steps(console))
        console.print(f"Valkey {now} runs; it was {before}.")


@app.command("status")
def status_command(home: Home = None) -> None:
    """Show what of the stack is up; the exit code is 1 when something is not."""
    from cluster.status import status

    with reporting():
        parts = status(standing_settings(home))
        table = Table("", "part", "state", "address", box=None)
        for part in parts:
            sign = Text("up", "green") if part.up else Text("DOWN", "red")
            table.add_row(sign, Text(part.name), Text(part.detail), Text(part.address))
        Console().print(table)
        if not all(part.up for part in parts):
            raise typer.Exit(1)


app.command("join")(host_commands.join_command)
app.command("leave")(host_commands.leave_command)
app.command("simulate")(offline_commands.simulate_command)
app.command("ingest")(offline_commands.ingest_command)
app.command("train")(offline_commands.train_command)
app.command("tune")(tuning_commands.tune_command)
app.command("evaluate")(evaluation_commands.evaluate_command)
app.command("protocols")(evaluation_commands.protocols_command)
app.add_typer(model_commands.app)
app.add_typer(key_commands.app)
app.command("backfill")(offline_commands.backfill_command)
app.command("replay")(offline_commands.replay_command)
app.command("score")(offline_commands.score_command)
app.command("drain")(log_commands.drain_command)
app.command("audit")(log_commands.audit_command)
app.command("history")(log_commands.history_command)
app.command("labels")(offline_commands.labels_command)


def _standing(settings: ClusterSettings) -> str:
    from cluster.processes import owned_by

    components = {one.component for one in owned_by(settings.home)}
    return ", ".join(sorted(components)) or "nothing"


def _show_addresses(settings: ClusterSettings) -> None:
    from features.store_address import public_address

    now = datetime.now(UTC).isoformat(timespec="seconds")
    body = f'{{"timestamp": "{now}", "customer_id": "C777777", "merchant_id": "Grocery", "amount": 40.0}}'
    for line in (
        "",
        f"API docs       {settings.http_url}/docs",
        f"Ray dashboard  {settings.dashboard_url}",
        f"MLflow         {public_address(settings.mlflow_uri)}",
        "",
        f"curl -s {settings.http_url}/predict{_key_header(settings)} -H 'content-type: application/json' "
        f"-d '{body}'",
    ):
        Console().print(Text(line), soft_wrap=True)


def _key_header(settings: ClusterSettings) -> str:
    return "" if settings.api_keys_file is None else ' -H "authorization: Bearer $TOLLGATE_API_KEY"'
