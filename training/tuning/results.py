"""The result of a search as data: every trial, the winner, and how it did against the defaults."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from training.evaluation.metrics import METRIC_NAMES
from training.fit_parameters import FitParameters
from training.tuning.halving import DEFAULTS, mean
from training.tuning.study import StudySettings
from training.tuning.trial import SCORES, FoldOutcome


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Trial(_Part):
    """One trial: its parameters, and its outcomes in the order in which tests were seen."""

    number: int
    parameters: FitParameters
    outcomes: tuple[FoldOutcome, ...]

    def mean(self, score: str, metric: str) -> float:
        """Return the mean of a metric over the tests that it saw; NaN where one has none."""
        return mean([outcome.value(score, metric) for outcome in self.outcomes])

    @property
    def figures(self) -> dict[str, float]:
        """Means under the names that ``tollgate evaluate`` logs; those that are undefined are left out."""
        named = {f"{score}_{metric}": self.mean(score, metric) for score in SCORES for metric in METRIC_NAMES}
        return {name: value for name, value in named.items() if value == value}


class TuningResult(_Part):
    """All that a search found.

    Attributes:
        folds: names of the tests, in the order in which trials saw them.
        trials: in order of their number; the first has the default parameters.
        best: number of the trial that won: of those that saw every test, the highest mean of the objective.
    """

    created_at: datetime
    settings: StudySettings
    folds: tuple[str, ...]
    trials: tuple[Trial, ...]
    best: int

    @property
    def winner(self) -> Trial:
        """The trial that won; it may be the defaults."""
        return self.trials[self.best]

    @property
    def defaults(self) -> Trial:
        """The trial with the default parameters."""
        return self.trials[DEFAULTS]

    @property
    def gain(self) -> float:
        """The objective of the winner less that of the defaults."""
        asked = (self.settings.score, self.settings.metric)
        return self.winner.mean(*asked) - self.defaults.mean(*asked)

    @property
    def better_on(self) -> int:
        """Tests on which the winner is better than the defaults: a gain on one test of many is luck."""
        asked = (self.settings.score, self.settings.metric)
        pairs = zip(self.winner.outcomes, self.defaults.outcomes, strict=True)
        return sum(one.value(*asked) > other.value(*asked) for one, other in pairs)
