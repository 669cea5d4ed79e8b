"""A soak: a long load with faults from a seeded schedule."""

from collections.abc import Sequence

from loadtests.chaos.faults import FAULTS
from loadtests.chaos.schedule import LONGEST_S, SHORTEST_S, schedule
from loadtests.chaos.trial import Trial


def soak(
    names: Sequence[str], seconds: float, seed: int, pauses_s: tuple[float, float] = (SHORTEST_S, LONGEST_S)
) -> Trial:
    """Return the trial of a soak.

    Args:
        names: of the faults.
        pauses_s: bounds of the pauses between two faults.
    """
    planned = schedule(names, seconds, seed, pauses_s)
    acts = [(at_s, FAULTS[name]) for at_s, name in planned]
    return Trial("soak", f"{len(planned)} faults of the schedule of seed {seed}", acts, seconds)
