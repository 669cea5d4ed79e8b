"""``tollgate models``: what is registered, which version serves, and how one takes the place of another."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.reporting import Home, reporting, standing_settings
from features.errors import TollgateError

if TYPE_CHECKING:
    from training.evaluation.compare_versions import Comparison

app = typer.Typer(
    name="models",
    help="List, show, compare, promote and roll back registered models.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

Name = Annotated[str, typer.Option("--model-name", help="Registered model.")]
Alias = Annotated[str, typer.Option(help="What names the version that serves.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"])]
History = Annotated[Path | None, typer.Option(help="History folder, on whose days both versions are judged.")]
Replicates = Annotated[int, typer.Option(min=1, max=10_000, help="Bootstrap samples of the intervals.")]


class CardMissing(TollgateError):
    """A version has no model card."""


class PromotionRefused(TollgateError):
    """A version must not be promoted like this; the message says why, and what would do."""


@app.command("list")
def list_command(home: Home = None, model_name: Name = "tollgate") -> None:
    """List the registered versions, the newest first, with their aliases and figures."""
    from training.registry import Registry

    with reporting():
        registry = Registry(standing_settings(home).mlflow_uri)
        aliases = registry.aliases(model_name)
        table = Table("version", "alias", "AP", "ROC AUC", "features", "note", box=None)
        for one in registry.versions(model_name):
            named = ", ".join(sorted(alias for alias, version in aliases.items() if version == one.version))
            figures = (_figure(one.tags, name) for name in ("average_precision", "roc_auc"))
            note = one.tags.get("tollgate.promoted_although_worse", "")
            table.add_row(one.version, named, *figures, one.tags.get("feature_fingerprint", "?"), Text(note))
        Console().print(table)


@app.command("show")
def show_command(
    version: Annotated[str, typer.Argument(help="Alias or number.")] = "champion",
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
    home: Home = None,
    model_name: Name = "tollgate",
) -> None:
    """Show the model card of a version: data, protocol, figures with intervals, slices, limits."""
    from features.definitions import fingerprint
    from training.model_card import ModelCard, card_in_terminal
    from training.registry import Registry

    with reporting():
        registry = Registry(standing_settings(home).mlflow_uri)
        bundle, found = registry.load(model_name, version, fingerprint())
        if bundle.card is None:
            raise CardMissing(f"Version {found.version} is of a release that made no model cards; train it again.")
        card = ModelCard.model_validate(bundle.card)
        if as_json:
            typer.echo(card.model_dump_json(indent=1))
        else:
            Console().print(card_in_terminal(card, found.version))


@app.command("compare")
def compare_command(
    champion: Annotated[str, typer.Argument(help="Alias or number.")],
    candidate: Annotated[str, typer.Argument(help="Alias or number.")],
    history: Annotated[Path, typer.Option(help="History folder, on whose days both versions are judged.")],
    since: Day = None,
    until: Day = None,
    replicates: Replicates = 500,
    home: Home = None,
    model_name: Name = "tollgate",
) -> None:
    """Compare two versions on the same payments; by default on the test period of the second."""
    with reporting():
        comparison = _compare(home, model_name, champion, candidate, history, since, until, replicates)
        Console().print(_table(comparison))
        Console().print(_verdict(comparison))


@app.command("promote")
def promote_command(
    candidate: Annotated[str, typer.Argument(help="Number of the version.")],
    history: History = None,
    since: Day = None,
    until: Day = None,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the comparison says.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept with the version. Required with --force.")] = "",
    replicates: Replicates = 500,
    home: Home = None,
    alias: Alias = "champion",
    model_name: Name = "tollgate",
) -> None:
    """Let the champion's alias name a version, unless it is worse than the champion beyond noise."""
    from training.registry import Registry

    with reporting():
        registry = Registry(standing_settings(home).mlflow_uri)
        version = registry.resolve(candidate, model_name).version
        champion = registry.aliases(model_name).get(alias)
        if force and not reason.strip():
            raise PromotionRefused("--force needs a --reason, which is kept with the version.")
        if champion == version:
            Console().print(f"Version {version} is {alias!r} already.")
            return
        if champion is not None and not force:
            if history is None:
                raise PromotionRefused(
                    f"Version {champion} is {alias!r}. Name a --history on which both can be judged,"
                    " or promote with --force and a --reason."
                )
            comparison = _compare(home, model_name, champion, version, history, since, until, replicates)
            Console().print(_table(comparison))
            if comparison.worse_in:
                raise PromotionRefused(f"{_verdict(comparison)} It was not promoted (--force needs a --reason).")
        registry.promote(version, alias, model_name, reason.strip() if force else None)
        was = "" if champion is None else f" It was version {champion}; `tollgate models rollback` returns to it."
        Console().print(f"{alias!r} is version {version}.{was}")


@app.command("rollback")
def rollback_command(home: Home = None, alias: Alias = "champion", model_name: Name = "tollgate") -> None:
    """Let the alias name the version again that it named before."""
    from training.registry import Registry

    with reporting():
        left, returned = Registry(standing_settings(home).mlflow_uri).roll_back(alias, model_name)
        Console().print(f"{alias!r} is version {returned} again; it was version {left}.")


def _compare(
    home: Path | None,
    model_name: str,
    champion: str,
    candidate: str,
    history: Path,
    since: datetime | None,
    until: datetime | None,
    replicates: int,
) -> "Comparison":
    from training.evaluation.compare_versions import compare_versions
    from training.evaluation.metrics import MetricSettings

    return compare_versions(
        history,
        champion,
        candidate,
        tracking_uri=standing_settings(home).mlflow_uri,
        model_name=model_name,
        since=since.date() if since else None,
        until=until.date() if until else None,
        settings=MetricSettings(replicates=replicates),
    )


def _table(comparison: "Comparison") -> Table:
    from training.evaluation.terminal import interval_words, metric_words, shown

    period = comparison.fold.test
    table = Table(
        "metric",
        title=f"{period.since:%Y-%m-%d} to {period.until:%Y-%m-%d}: {comparison.rows:,} payments,"
        f" {comparison.frauds:,} frauds",
        title_justify="left",
    )
    for column in (
        f"version {comparison.champion.version}",
        f"version {comparison.candidate.version}",
        "difference",
        f"{comparison.settings.level:.0%} interval",
    ):
        table.add_column(column, justify="right")
    words = metric_words(comparison.settings)
    for name, one in comparison.differences.items():
        figures = (shown(name, value) for value in (one.champion, one.candidate, one.difference.value))
        table.add_row(words[name], *figures, interval_words(name, one.difference))
    return table


def _verdict(comparison: "Comparison") -> str:
    candidate, champion = comparison.candidate.version, comparison.champion.version
    if not comparison.worse_in:
        return f"Version {candidate} is not worse than version {champion} beyond noise."
    names = " and ".join(name.replace("_", " ") for name in comparison.worse_in)
    return f"Version {candidate} is worse than version {champion} beyond noise, in {names}."


def _figure(tags: Mapping[str, str], metric: str) -> str:
    value = tags.get(f"test_{metric}")
    return "?" if value is None else f"{float(value):.3f}"
