"""What thresholds would have cost, in words and as a table in the terminal."""

from typing import Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from training.costs import MINOR_UNITS, Costs
from training.evaluation.results import ThresholdTable
from training.thresholds import Choice

SERVED: Final = "served"
LEAST_COST: Final = "least cost"
FAVOURED: Final = "recall favoured"
TOO_MANY: Final = "too many reviews"


def major(minor: float) -> str:
    """Return an amount in whole major units, as a reader takes it in.

    >>> major(123_456), major(0)
    ('1,235', '0')
    """
    return f"{minor / MINOR_UNITS:,.0f}"


def marks(table: ThresholdTable, choice: Choice) -> list[str]:
    """Return the words that a line of the table is marked with: which it is, whether it is manageable."""
    named = ((SERVED, table.served), (LEAST_COST, table.cheapest), (FAVOURED, table.favoured))
    found = [words for words, one in named if one.pair == choice.pair]
    return found if choice.affordable else [*found, TOO_MANY]


def assumptions(costs: Costs) -> str:
    """Return the sentence on what outcomes cost and how many reviews there can be.

    >>> assumptions(Costs(reviews_a_day=120, loss_share=0.8)).split("; ")[1:]
    ['a missed fraud 80 % of its amount', 'at most 120 reviews on any day']
    """
    capacity = "any number of" if costs.reviews_a_day is None else f"at most {costs.reviews_a_day:,}"
    return (
        f"A review costs {costs.review_minor / MINOR_UNITS:,.2f} and stops a fraud; a genuine payment that is"
        f" blocked {costs.wrong_block_minor / MINOR_UNITS:,.2f}; a missed fraud {100 * costs.loss_share:g} % of"
        f" its amount; {capacity} reviews on any day"
    )


def favouring(costs: Costs) -> str:
    """Return the sentence on how recall is favoured."""
    return (
        f"{FAVOURED.capitalize()}: the lowest review threshold that costs at most {100 * costs.tolerance:g} % more"
        " than the least"
    )


def thresholds_in_terminal(table: ThresholdTable, costs: Costs) -> Group:
    """Return the choices that have a name, each once, and what they were priced with."""
    title = f"Thresholds (ensemble; {table.days} days; more in the report)"
    shown = Table("choice", title=title, title_justify="left")
    for column in ("review", "block", "reviews a day", "recall", "missed amount", "wrong blocks", "cost"):
        shown.add_column(column, justify="right")
    for one in dict.fromkeys((table.served, table.cheapest, table.favoured)):
        shown.add_row(
            ", ".join(marks(table, one)),
            f"{one.review:g}",
            f"{one.block:g}",
            f"{one.mean_reviews_a_day:,.1f}",
            f"{one.recall:.3f}",
            major(one.missed_minor),
            f"{one.wrong_blocks:,}",
            major(one.cost_minor),
        )
    return Group(shown, Text(f"{assumptions(costs)}."))
