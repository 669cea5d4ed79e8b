"""The command that searches parameters."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cluster.offline_commands import History
from cluster.reporting import Home, reporting, standing_settings


def tune_command(
    history: History,
    protocol: Annotated[
        str, typer.Option(help="Tests to choose on: a name (`protocols`) or a YAML file.")
    ] = "earlier-weeks",
    trials: Annotated[
        int, typer.Option(min=2, max=10_000, help="Parameters to try, the defaults among them.")
    ] = 27,
    reduction: Annotated[int, typer.Option(min=2, max=100, help="One trial in so many is given more tests.")] = 3,
    objective: Annotated[
        str, typer.Option(help="lr, xgb or ensemble, a dot, and a metric: what shall be high.")
    ] = "ensemble.average_precision",
    space: Annotated[
        Path | None, typer.Option(help="YAML file of parameters and their ranges; default: those of Tollgate.")
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option(help="Parameter file of the first trial; default: the defaults.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same trials.")] = 0,
    parallel: Annotated[
        int | None, typer.Option(min=1, help="Fits at once; default: as many as there are cores.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Customers that investigators look at a day.")] = 100,
    out: Annotated[
        Path | None, typer.Option(help="Folder for state and result; default: results/tune-<protocol>.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget the search that the folder holds.")] = False,
    log: Annotated[bool, typer.Option(help="Log each trial to MLflow.")] = True,
    home: Home = None,
) -> None:
    """Search the parameters of a fit on earlier weeks; killed, the same command goes on.

    The best ones are left in best.json, which `train --parameters` and `evaluate --parameters` take.
    """
    from training.parameter_file import load_parameters
    from training.tune import DEFAULT_PARAMETERS, METRICS, tune
    from training.tuning.terminal import in_terminal

    with reporting():
        found = tune(
            history,
            tracking_uri=standing_settings(home).mlflow_uri,
            protocol=protocol,
            trials=trials,
            reduction=reduction,
            objective=objective,
            space=space,
            seed=seed,
            defaults=load_parameters(parameters).parameters if parameters else DEFAULT_PARAMETERS,
            settings=METRICS.model_copy(update={"top_k": top_k}),
            parallel=parallel,
            folder=out,
            restart=restart,
            log=log,
        )
        Console().print(in_terminal(found.result))
        logged = f" Logged to the MLflow run {found.run_id}." if found.run_id else ""
        Console(stderr=True).print(f"The best parameters are in {found.best_file}.{logged}", soft_wrap=True)
