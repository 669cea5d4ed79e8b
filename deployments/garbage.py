"""How often a replica looks for garbage in cycles."""

import gc
from typing import Final

THRESHOLDS: Final = (100_000, 10, 10)
"""New objects before a collection of the youngest, and of those before one of the older ones."""


def collect_seldom() -> None:
    """Make collections rare in this process; each replica calls it once, as it begins.

    At Python's 700 new objects, a few hundred waiting requests set off collections all the time. Each walks
    through the objects of all of them and finds nothing, for the decision path leaves no cycles: at 256
    connections that was a third of the ingress's time. What was loaded before the first request is no part of
    it: Serve freezes that itself.
    """
    gc.set_threshold(*THRESHOLDS)
