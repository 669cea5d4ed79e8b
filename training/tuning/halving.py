"""Successive halving: many trials see one test, the better ones more of them (Jamieson and Talwalkar, 2016).

What a trial is given more of is tests: one week says little, so only trials that did well on one are worth
another. The order of the tests and every decision follow from results alone, never from which trial was ready
first: the same search finds the same, however often it was interrupted and on however many cores.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

DEFAULTS: Final = 0
"""The trial with the default parameters. It sees every test, since the others are held against it."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A stage of a search: its trials have seen ``folds`` tests at the end, of them ``before`` in earlier rungs.

    Attributes:
        trials: how many trials it holds; the defaults, if they would not be among them, come on top.
    """

    trials: int
    before: int
    folds: int

    @property
    def fits(self) -> int:
        """Fits that it takes at most."""
        return (self.trials + 1) * (self.folds - self.before)


def rungs(trials: int, folds: int, reduction: int) -> tuple[Rung, ...]:
    """Return the stages: tests double from one to all, trials shrink by ``reduction``.

    >>> [(rung.trials, rung.folds) for rung in rungs(27, 3, 3)]
    [(27, 1), (9, 2), (3, 3)]
    """
    found = [Rung(trials, 0, 1)]
    while found[-1].folds < folds:
        last = found[-1]
        found.append(Rung(max(1, math.ceil(last.trials / reduction)), last.folds, min(2 * last.folds, folds)))
    return tuple(found)


def survivors(means: Mapping[int, float], count: int) -> list[int]:
    """Return the ``count`` trials with the highest mean, and the defaults, in order of trial.

    Args:
        means: trial to the mean of the objective over the tests seen; NaN where a fit failed.
    """
    return sorted({*ranked(means)[:count], DEFAULTS} & set(means))


def ranked(means: Mapping[int, float]) -> list[int]:
    """Return the trials, the highest mean first; NaN is last, of equal ones the earlier trial is first."""
    return sorted(means, key=lambda trial: (-_comparable(means[trial]), trial))


def mean(values: Sequence[float]) -> float:
    """Return the mean; NaN where a value is, or there is none."""
    return sum(values) / len(values) if values else math.nan


def _comparable(value: float) -> float:
    return -math.inf if math.isnan(value) else value
