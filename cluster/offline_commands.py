"""The commands on histories and files: from raw history to registered bundle, warm online store, scored file."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
from cluster.reporting import Home, reporting, standing_settings

History = Annotated[Path, typer.Option(help="History folder: Parquet, partitioned by day.")]
Out = Annotated[Path, typer.Option(help="History folder to write.")]
Parameters = Annotated[
    Path | None, typer.Option(help="Parameter file, as `tune` writes it (best.json); default: the defaults.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a history that is there.")]


def simulate_command(
    out: Out,
    transactions: Annotated[int, typer.Option(min=1_000, help="Number of transactions.")] = 1_000_000,
    days: Annotated[
        int, typer.Option(min=7, max=366, help="Length of the history in days, from 2025-01-01 on.")
    ] = 120,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same history.")] = 7,
    fraud_rate: Annotated[
        float,
        typer.Option(
            min=0.0001,
            max=0.2,
            help="Share of frauds; a very small history has some more, as each pattern is in it.",
        ),
    ] = 0.006,
    overwrite: Overwrite = False,
) -> None:
    """Write a simulated history of payments, with labelled fraud of several patterns."""
    from training.history_summary import simulation_summary
    from training.simulate import simulate

    with reporting():
        report = simulate(
            out,
            transactions=transactions,
            days=days,
            seed=seed,
            fraud_rate=fraud_rate,
            overwrite=overwrite,
        )
        Console(stderr=True).print(simulation_summary(report))


def ingest_command(
    source: Annotated[Path, typer.Option(help="Table to read: a file or a folder of files.")],
    out: Out,
    mapping: Annotated[str, typer.Option(help="Mapping that comes with Tollgate, or a YAML file.")] = "tollgate",
    overwrite: Overwrite = False,
) -> None:
    """Bring a foreign table into the form of a history; rows that break the contract are set aside.

    The exit code is 1 when no row came in.
    """
    from training.history_summary import ingest_summary
    from training.ingest import ingest
    from training.ingestion.mapping import load_mapping

    with reporting():
        report = ingest(source, out, load_mapping(mapping), overwrite=overwrite)
        Console(stderr=True).print(ingest_summary(report))
        if not report.rows_written:
            raise typer.Exit(1)


def train_command(
    history: History,
    workers: Annotated[int, typer.Option(min=1, help="Ray Train workers.")] = 2,
    parameters: Parameters = None,
    since: Annotated[
        datetime | None, typer.Option(help="First day to train on; default: once the windows are full.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Day after the last test day; default: after the last with labels.")
    ] = None,
    test_days: Annotated[
        int | None, typer.Option(min=1, help="Days of the test; default: a fifth of those with labels.")
    ] = None,
    validation_days: Annotated[
        int | None, typer.Option(min=1, help="Days of validation; default: a tenth of those with labels.")
    ] = None,
    gap_days: Annotated[
        int | None,
        typer.Option(
            min=7, help="Days before the test in which labels become known; default: the label delay, 7."
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Divide the history as a protocol with one test does: a name, or a YAML file."),
    ] = None,
    promote: Annotated[
        bool,
        typer.Option(
            help="Make the new version the champion, unless it is worse beyond noise, or nobody can tell."
        ),
    ] = True,
    review_cost: ReviewCost = REVIEW_COST,
    wrong_block_cost: WrongBlockCost = WRONG_BLOCK_COST,
    loss_share: LossShare = LOSS_SHARE,
    reviews_a_day: ReviewsADay = None,
    apply_thresholds: Annotated[
        bool,
        typer.Option(
            "--apply-thresholds",
            help="Give the bundle the thresholds of least cost on the validation period, recall favoured. They act"
            " only where the policy in service names none; serve_config.yaml names them.",
        ),
    ] = False,
    figures: Annotated[
        Path | None, typer.Option(help="JSON file to write version, version of the data and test metrics to.")
    ] = None,
    home: Home = None,
) -> None:
    """Train both models on a history, judge them on its last days, and register them as one version.

    In order of time: training, validation, a gap in which labels become known, test. Fewer days of validation
    and test make a model that has learned from later days.
    """
    from training.parameter_file import parameters_from
    from training.split import GAP_DAYS
    from training.train import train

    with reporting():
        own_days = (since, until, test_days, validation_days, gap_days)
        refuse(protocol and any(own_days), "a protocol has its own days: leave the other options of days out")
        chosen, origin = parameters_from(parameters)
        report = train(
            history,
            tracking_uri=standing_settings(home).mlflow_uri,
            workers=workers,
            promote=promote,
            since=since and since.date(),
            until=until and until.date(),
            test_days=test_days,
            validation_days=validation_days,
            gap_days=gap_days or GAP_DAYS,
            protocol=protocol,
            parameters=chosen.parameters,
            origin=origin,
            tuned=chosen.tuned,
            costs=costs_of(review_cost, wrong_block_cost, loss_share, reviews_a_day),
            apply_thresholds=apply_thresholds,
        )
        warn(chosen.overlap(report.split.test.since))
        warn(report.late_labels)
        if figures is not None:
            figures.parent.mkdir(parents=True, exist_ok=True)
            figures.write_text(report.to_json(), encoding="utf-8")
        Console(stderr=True).print(report)


def backfill_command(
    history: History,
    until: Annotated[datetime | None, typer.Option(help="Moment to stand at; default: its end.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="First delete all online features.")] = False,
    home: Home = None,
) -> None:
    """Load a history into the online store, so that the service goes live with full windows."""
    from training.backfill import backfill

    with reporting():
        report = backfill(history, redis_url=standing_settings(home).redis_url, until=until, clear=clear)
        Console(stderr=True).print(report)


def replay_command(
    history: History,
    since: Annotated[datetime | None, typer.Option(help="First event time; default: the last day.")] = None,
    until: Annotated[datetime | None, typer.Option(help="Event time to end before; default: the end.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Send at most so many transactions.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="First delete all online features.")] = False,
    single: Annotated[bool, typer.Option("--single", help="One request a transaction.")] = False,
    chunk: Annotated[int, typer.Option(min=1, max=1_000, help="Transactions a request otherwise.")] = 64,
    home: Home = None,
) -> None:
    """Send a history through the live service and compare every feature and score with the offline ones."""
    from training.replay import replay

    with reporting():
        settings = standing_settings(home)
        report = replay(
            history,
            redis_url=settings.redis_url,
            tracking_uri=settings.mlflow_uri,
            url=settings.http_url,
            since=since,
            until=until,
            limit=limit,
            clear=clear,
            single=single,
            chunk=chunk,
        )
        Console(stderr=True).print(report)
        if not report.ok:
            raise typer.Exit(1)


def score_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet, by its extension.")],
    out: Annotated[Path | None, typer.Option(help="Parquet to write; default: FILE.scored.parquet.")] = None,
    url: Annotated[str | None, typer.Option(help="Address of the service; default: the stack of --home.")] = None,
    mapping: Annotated[
        str | None,
        typer.Option(help="Mapping as for ingest; default: columns are named as the fields of the API."),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows a request.")] = 10_000,
    connections: Annotated[int, typer.Option(min=1, max=64, help="Requests under way at once.")] = 2,
    home: Home = None,
) -> None:
    """Decide every row of a file through the live service; the exit code is 1 when a row was not decided."""
    from cluster.scoring.score import score
    from cluster.scoring.summary import score_summary
    from training.ingestion.mapping import load_mapping

    with reporting():
        report = score(
            file,
            out or file.with_name(f"{file.name}.scored.parquet"),
            url=url or standing_settings(home).http_url,
            mapping=None if mapping is None else load_mapping(mapping),
            batch_size=batch_size,
            connections=connections,
        )
        Console(stderr=True).print(score_summary(report))
        if report.failed:
            raise typer.Exit(1)


def labels_command(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="CSV or Parquet whose columns are called as the fields of a label."),
    ],
    source: Annotated[
        str | None, typer.Option(help="chargeback or analyst: of every row, if the file does not say.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of the service; default: the stack of --home.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=10_000, help="Labels a request.")] = 500,
    home: Home = None,
) -> None:
    """Tell the live service which payments became known as fraud, or as none; safe to repeat.

    The exit code is 1 when a row was not taken.
    """
    from cluster.scoring.label_file import post_labels

    with reporting():
        report = post_labels(
            file, url=url or standing_settings(home).http_url, source=source, batch_size=batch_size
        )
        Console(stderr=True).print(report)
        if report.failed:
            raise typer.Exit(1)


def warn(words: str | None) -> None:
    """Say something on stderr that the reader of a result must know; None: nothing."""
    if words is not None:
        Console(stderr=True).print(words, style="yellow", soft_wrap=True)


def refuse(condition: object, words: str) -> None:
    """Raise a usage error if a condition holds."""
    if condition:
        raise typer.BadParameter(words)
