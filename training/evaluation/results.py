"""The result of an evaluation as data: what the terminal, the JSON file, the HTML report and MLflow show."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from training.bundle import Period
from training.evaluation.metrics import METRIC_NAMES, Evaluated, MetricSettings
from training.evaluation.protocols import Published
from training.thresholds import Choice

Features = Literal["product", "published"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subject(_Part):
    """What was judged, and on what.

    Attributes:
        title: of the report, a line of words.
        protocol: its name; None for a version on a period.
        source: where the protocol was published.
        model: "version 3 of 'tollgate'", or how the models were trained.
        features: the product's own, or those published.
        fingerprint: of the product's feature definitions.
        history: name of the folder.
        command: that makes these figures again.
    """

    title: str
    protocol: str | None
    source: str
    model: str
    features: Features
    fingerprint: str
    history: str
    command: str


class FoldResult(_Part):
    """The test of one fold.

    Attributes:
        train_rows, train_frauds: labelled rows of the training period.
        rows, frauds, customers: judged.
        left_out: rows of the test period whose customers were known as defrauded.
        scores: "lr", "xgb", "ensemble" to metrics.
    """

    name: str
    train: Period
    validation: Period
    test: Period
    train_rows: int
    train_frauds: int
    rows: int
    frauds: int
    customers: int
    left_out: int
    scores: Mapping[str, Evaluated]


class SliceResult(_Part):
    """One group of one grouping, over all folds together."""

    grouping: str
    name: str
    rows: int
    frauds: int
    scores: Mapping[str, Evaluated]


class Curve(_Part):
    """Points of a line."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class ScoreCurves(_Part):
    """What is plotted of one score, over all folds together.

    Attributes:
        roc: recall over false-positive rate.
        precision_recall: precision over recall.
        reliability: share of frauds over mean score, by bin; reliability_rows: payments in each.
        edges: bounds of the bins of the score; genuine, fraud: payments of each class in each bin.
        cost: of missed frauds and reviews (major units) over the threshold.
    """

    roc: Curve
    precision_recall: Curve
    reliability: Curve
    reliability_rows: tuple[int, ...]
    edges: tuple[float, ...]
    genuine: tuple[int, ...]
    fraud: tuple[int, ...]
    cost: Curve


class CardDay(_Part):
    """Card precision at k of one test day: score to value."""

    day: date
    precision: Mapping[str, float]


class ThresholdTable(_Part):
    """What choices of thresholds would have cost with one score, over all folds together.

    Attributes:
        days, rows, frauds, fraud_minor: of the tests, and the amounts of the frauds in minor units.
        without_minor: what approving everything would have cost, in minor units.
        served: the thresholds of the policy.
        cheapest: those of least cost that the reviewers could have managed, with hindsight.
        favoured: with the block threshold of these, the lowest review threshold that costs hardly more
            (``Costs.tolerance``).
        choices: some pairs and these three, by review and block threshold, ascending.
    """

    days: int
    rows: int
    frauds: int
    fraud_minor: int
    without_minor: float
    served: Choice
    cheapest: Choice
    favoured: Choice
    choices: tuple[Choice, ...]


class EvaluationResult(_Part):
    """All that an evaluation found.

    Attributes:
        overall: score to metrics, the mean over the folds.
        thresholds: score to what thresholds would have cost.
        importance: score to feature to the mean absolute log-odds that it adds, the largest first.
        published: what others measured with this protocol.
    """

    subject: Subject
    created_at: datetime
    settings: MetricSettings
    folds: tuple[FoldResult, ...]
    overall: Mapping[str, Evaluated]
    slices: tuple[SliceResult, ...]
    curves: Mapping[str, ScoreCurves]
    thresholds: Mapping[str, ThresholdTable]
    card_days: tuple[CardDay, ...]
    importance: Mapping[str, Mapping[str, float]]
    published: Published | None = None

    @property
    def figures(self) -> dict[str, float]:
        """The overall metrics under flat names, as MLflow holds them; those that are undefined are left out."""
        named = {
            f"{score}_{name}{suffix}": getattr(getattr(metrics, name), attribute)
            for score, metrics in self.overall.items()
            for name in METRIC_NAMES
            for suffix, attribute in (("", "value"), ("_low", "low"), ("_high", "high"))
        }
        return {name: value for name, value in named.items() if value == value}

    @property
    def has_published_sizes(self) -> bool:
        """Whether training and test are of the sizes that were published."""
        asked, fold = self.published, self.folds[0]
        return asked is not None and (
            (fold.train_rows, fold.train_frauds, fold.rows, fold.frauds)
            == (asked.train_rows, asked.train_frauds, asked.test_rows, asked.test_frauds)
        )
