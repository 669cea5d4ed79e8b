"""The schedule of a soak: which fault strikes when, from a seed alone."""

import random
from collections.abc import Sequence
from typing import Final

FIRST_S: Final = 5.0
SHORTEST_S: Final = 10.0
LONGEST_S: Final = 40.0
"""Bounds of the pauses between two faults. The shorter ones strike while the last is still being repaired."""
CALM_END_S: Final = 10.0


def schedule(
    names: Sequence[str], seconds: float, seed: int, pauses_s: tuple[float, float] = (SHORTEST_S, LONGEST_S)
) -> list[tuple[float, str]]:
    """Return faults with the second at which each strikes; the same for the same arguments.

    Every fault comes once before one comes again, in an order of the seed's.

    Args:
        pauses_s: bounds of the pauses between two faults.

    >>> schedule(["a", "b"], 60, 1) == schedule(["a", "b"], 60, 1)
    True
    """
    choice = random.Random(seed)
    planned: list[tuple[float, str]] = []
    waiting: list[str] = []
    at_s = FIRST_S
    while at_s <= seconds - CALM_END_S:
        if not waiting:
            waiting = choice.sample(list(names), len(names))
        planned.append((at_s, waiting.pop()))
        at_s += choice.uniform(*pauses_s)
    return planned
