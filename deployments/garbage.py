"""How often a replica looks for garbage in cycles."""

import gc
from typing import Final

MANY: Final = 100_000
"""New objects before a collection of the youngest, where hundreds of requests wait."""
FEW: Final = 10_000
"""Where a batch or two are under way. A collection that finds as many takes some 7 ms."""
OLDER: Final = (10, 10)
"""Collections of the youngest before one of the older objects, and of those before one of all."""


def collect_seldom(objects: int = MANY) -> None:
    """Make collections rare in this process; each replica calls it once, as it begins.

    At Python's 700 new objects, a few hundred waiting requests set off collections all the time. Each walks
    through the objects of all of them and finds nothing, for the decision path leaves no cycles: at 256
    connections that was a third of the ingress's time. What was loaded before the first request is no part of
    it: Serve freezes that itself. XGBoost's own calls for contributions do leave cycles, some twenty objects each,
    and nobody was scored while a hundred thousand were collected: 68 ms, every minute and a half at the peak. So a
    process of its own collects fewer at a time; in the fused graph they are still many.

    Args:
        objects: new ones before a collection of the youngest; of several parts in one process the one with most
            decides.
    """
    gc.set_threshold(max(objects, gc.get_threshold()[0]), *OLDER)
