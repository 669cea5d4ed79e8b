"""The result of a search as a table in the terminal."""

from collections.abc import Iterator
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from training.evaluation.metrics import MetricSettings
from training.evaluation.terminal import metric_words, shown
from training.experiment import flat
from training.tuning.halving import DEFAULTS
from training.tuning.results import Trial, TuningResult

SHOWN_TRIALS: Final = 10
_METRICS: Final = ("roc_auc", "average_precision", "card_precision", "brier")


def in_terminal(result: TuningResult) -> RenderableType:
    """Return a search as tables: the best trials beside the defaults, then the parameters that won."""
    return Group(*_parts(result))


def _parts(result: TuningResult) -> Iterator[RenderableType]:
    asked = result.settings
    yield _trials(result)
    yield _parameters(result)
    of_tests = f"{len(result.folds)} test{'s' if len(result.folds) > 1 else ''}"
    if result.best == DEFAULTS:
        yield Text(f"No trial of {asked.trials} is better than the defaults on {of_tests}.")
        return
    yield Text(
        f"Trial {result.best} has {asked.score} {asked.metric} {result.gain:+.4f} over the defaults on the mean of"
        f" {of_tests}, and is better on {result.better_on} of them. It was the best of {asked.trials}, so a part"
        " of the gain is luck: judge it once on days that were not searched."
    )


def _trials(result: TuningResult) -> Table:
    asked = result.settings
    words = metric_words(MetricSettings.model_validate(asked.metric_settings))
    metrics = dict.fromkeys((*_METRICS, asked.metric))
    title = f"Trials ({asked.score}, mean over the tests seen)"
    table = Table("trial", box=None, title=title, title_justify="left")
    for column in ("tests", *(words[name] for name in metrics), "each test"):
        table.add_column(column, justify="right", no_wrap=True)
    for trial in _best_first(result):
        each = [outcome.value(asked.score, asked.metric) for outcome in trial.outcomes]
        table.add_row(
            _name(trial.number, result),
            str(len(trial.outcomes)),
            *(shown(name, trial.mean(asked.score, name)) for name in metrics),
            " ".join(shown(asked.metric, value) for value in each),
        )
    return table


def _best_first(result: TuningResult) -> list[Trial]:
    """Return the trials that are shown: those that saw more tests first, and the defaults in any case."""
    asked = result.settings

    def place(trial: Trial) -> tuple[int, float]:
        value = trial.mean(asked.score, asked.metric)
        return -len(trial.outcomes), -value if value == value else float("inf")

    ordered = sorted(result.trials, key=place)
    return ordered[:SHOWN_TRIALS] + [trial for trial in ordered[SHOWN_TRIALS:] if trial.number == DEFAULTS]


def _name(number: int, result: TuningResult) -> str:
    marks = [word for word, holds in (("defaults", number == DEFAULTS), ("best", number == result.best)) if holds]
    return " ".join([str(number), *marks])


def _parameters(result: TuningResult) -> Table:
    table = Table("parameter", box=None, title="Parameters", title_justify="left")
    table.add_column("default", justify="right")
    table.add_column("best", justify="right")
    defaults, best = (flat(one.parameters.model_dump()) for one in (result.defaults, result.winner))
    for name in result.settings.space:
        table.add_row(name, f"{defaults[name]:g}", f"{best[name]:g}")
    return table
