"""Made-up held-out rows and scores for the tests of metrics."""

import numpy as np

from features.definitions import DAY_MS
from training.evaluation.held_out import HeldOut
from training.models import Floats

FIRST_DAY = 17_000


def made_up(
    rows: int = 400, customers: int = 40, days: int = 5, seed: int = 0, decimals: int = 2
) -> tuple[HeldOut, Floats]:
    """Return rows of some days, a tenth of them frauds, and scores with many ties."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(rows) < 0.1).astype(np.float64)
    scores: Floats = np.round(np.clip(rng.beta(1, 4, rows) + 0.3 * labels * rng.random(rows), 0, 1), decimals)
    time = (FIRST_DAY * DAY_MS + rng.integers(0, days * DAY_MS, rows)).astype(np.int64)
    amount = rng.integers(1, 50_000, rows)
    return HeldOut(time, amount, rng.integers(0, customers, rows), customers, labels, {}), scores


def ones(rows: HeldOut) -> Floats:
    """Return the weighting under which each customer counts once."""
    return np.ones((rows.customers, 1))
