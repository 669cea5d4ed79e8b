"""The commands on how good models are."""

import shlex
import sys
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cluster.cost_options import (
    LOSS_SHARE,
    REVIEW_COST,
    WRONG_BLOCK_COST,
    LossShare,
    ReviewCost,
    ReviewsADay,
    WrongBlockCost,
    costs_of,
)
from cluster.offline_commands import History, Parameters, refuse, warn
from cluster.reporting import Home, reporting, standing_settings

if TYPE_CHECKING:
    from training.live_evaluation import LiveEvaluation


class FeatureSet(StrEnum):
    """Which features models are trained on under a protocol."""

    PRODUCT = "product"
    PUBLISHED = "published"


def evaluate_command(
    history: History,
    protocol: Annotated[
        str | None, typer.Option(help="Train and judge under a protocol: a name (`protocols`) or a YAML file.")
    ] = None,
    features: Annotated[
        FeatureSet, typer.Option(help="Of models trained here; published: the handbook's 15 and its baselines.")
    ] = FeatureSet.PRODUCT,
    model: Annotated[
        str | None,
        typer.Option(help="Judge a registered version, an alias or number. Default without a protocol: champion."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(help="First day to judge it on; default: its own test period.")
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="The day after the last.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Score at which payments are flagged; default: the model's.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Customers that investigators look at a day.")] = 100,
    fpr: Annotated[
        float, typer.Option(min=0.00001, max=0.99, help="False-positive rate to read recall at.")
    ] = 0.01,
    review_cost: ReviewCost = REVIEW_COST,
    wrong_block_cost: WrongBlockCost = WRONG_BLOCK_COST,
    loss_share: LossShare = LOSS_SHARE,
    reviews_a_day: ReviewsADay = None,
    replicates: Annotated[int, typer.Option(min=0, max=10_000, help="Bootstrap samples of customers.")] = 500,
    workers: Annotated[int, typer.Option(min=1, help="Ray Train workers.")] = 2,
    parameters: Parameters = None,
    live: Annotated[
        bool, typer.Option("--live", help="Send the test through the live service, and judge its answers.")
    ] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="With --live: first delete all online features of the store.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the report; default: results/evaluate-<name>[-v<version>].")
    ] = None,
    log: Annotated[bool, typer.Option(help="Log figures and report to MLflow.")] = True,
    home: Home = None,
) -> None:
    """Judge a registered version, or train and judge under a protocol: table, JSON, HTML report, MLflow."""
    from training.evaluate import DEFAULT_SETTINGS, Output, evaluate_protocol, evaluate_version
    from training.evaluation.late_labels import words_on_late_labels
    from training.evaluation.terminal import in_terminal
    from training.live_evaluation import evaluate_live
    from training.parameter_file import parameters_from
    from training.registry import CHAMPION

    changed = {
        "top_k": top_k,
        "false_positive_rate": fpr,
        "costs": costs_of(review_cost, wrong_block_cost, loss_share, reviews_a_day),
        "replicates": replicates,
    }
    output = Output(folder=out, log=log, command=shlex.join(["tollgate", *sys.argv[1:]]))
    settings = DEFAULT_SETTINGS.model_copy(update=changed)
    with reporting():
        tracking_uri = standing_settings(home).mlflow_uri
        refuse(clear and not live, "--clear needs --live")
        refuse(
            parameters and (protocol is None or model or live or features == FeatureSet.PUBLISHED),
            "--parameters are of models that are trained here: give --protocol, and no --model",
        )
        if live:
            refuse(features == FeatureSet.PUBLISHED, "--live judges what is served, not published features")
            refuse(protocol and (since or until), "a protocol has its own days: leave --since and --until out")
            stack = standing_settings(home)
            through = evaluate_live(
                history,
                redis_url=stack.redis_url,
                tracking_uri=tracking_uri,
                url=stack.http_url,
                model=model or CHAMPION,
                protocol=protocol,
                since=since and since.date(),
                until=until and until.date(),
                clear=clear,
                settings=settings,
                threshold=threshold,
                output=output,
            )
            _show_live(through)
            return
        if protocol is not None and model is None:
            refuse(since or until, "--since and --until choose the days of a registered version (--model)")
            chosen, origin = parameters_from(parameters)
            found = evaluate_protocol(
                history,
                protocol,
                tracking_uri=tracking_uri,
                features=features.value,
                workers=workers,
                parameters=chosen.parameters,
                origin=origin,
                settings=settings,
                threshold=threshold,
                output=output,
            )
            warn(chosen.overlap(min(fold.test.since for fold in found.result.folds)))
            warn(words_on_late_labels(history, found.result.folds))
        else:
            refuse(features == FeatureSet.PUBLISHED, "--features published needs --protocol and no --model")
            refuse(protocol and (since or until), "a protocol has its own days: leave --since and --until out")
            found = evaluate_version(
                history,
                tracking_uri=tracking_uri,
                model=model or CHAMPION,
                protocol=protocol,
                since=since and since.date(),
                until=until and until.date(),
                settings=settings,
                threshold=threshold,
                output=output,
            )
        Console().print(in_terminal(found.result))
        logged = f" Logged to the MLflow run {found.run_id}." if found.run_id else ""
        Console(stderr=True).print(f"Report and figures are in {found.folder}.{logged}", soft_wrap=True)


def _show_live(found: "LiveEvaluation") -> None:
    """Show an evaluation through the live endpoint; exit with 1 where it differs from the offline one."""
    from training.evaluation.terminal import in_terminal

    Console().print(in_terminal(found.result))
    Console().print(found.replay)
    for name, difference in found.differences.items():
        Console().print(f"{name}: served less offline {difference:+.3g}", style="red")
    if found.ok:
        Console().print("Every metric of the served decisions equals the offline one.", style="green")
    Console(stderr=True).print(f"Report and figures are in {found.folder}.", soft_wrap=True)
    if not found.ok:
        raise typer.Exit(1)


def protocols_command() -> None:
    """List the protocols that come with Tollgate."""
    from training.evaluation.protocols import builtin_protocols

    table = Table("protocol", "what it is", "tests", "trained on", box=None)
    for name, protocol in builtin_protocols().items():
        tests = ", ".join(f"{day}" for day in protocol.test_since) or f"the last {protocol.folds} of the history"
        trained = f"{protocol.train_days} days" if protocol.train_days else "all days before the gap"
        table.add_row(name, protocol.title, tests, trained)
    Console().print(table)
