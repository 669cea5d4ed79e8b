"""The outcome of a replay: collected answer by answer, and shown as tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from features.formulas import Matrix
from training.backfill import BackfillReport
from training.comparison import SCORE_TOLERANCE, Comparison, Differences
from training.decision_metrics import DecisionMetrics, decision_metrics
from training.scoring_client import Answer, Failure

EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found.

    Attributes:
        since: the moment at which the replay began; backfill: what the store was loaded with before.
        cleared: keys deleted before the start.
        sent: transactions sent; decided: those with an answer.
        failures: error code to transactions without an answer; failure_examples: the first messages.
        degraded: what was missing to transactions decided without it. These are not compared.
        compared: transactions whose answers were compared with the offline path.
        features, scores: column to its differences, for every column.
        versions: served version to transactions compared.
        decisions: metrics of all that were decided, against the labels.
        duration_s: how long the replay took in all, in seconds.
    """

    since: datetime
    backfill: BackfillReport
    cleared: int
    sent: int
    decided: int
    failures: dict[str, int]
    failure_examples: tuple[str, ...]
    degraded: dict[str, int]
    compared: int
    features: dict[str, Differences]
    scores: dict[str, Differences]
    versions: dict[str, int]
    decisions: DecisionMetrics
    duration_s: float

    @property
    def feature_mismatches(self) -> int:
        """How many feature values differ from the offline ones."""
        return sum(differences.count for differences in self.features.values())

    @property
    def score_mismatches(self) -> int:
        """How many scores differ from the offline ones by more than ``SCORE_TOLERANCE``."""
        return sum(differences.count for differences in self.scores.values())

    @property
    def ok(self) -> bool:
        """Whether every transaction was decided, undegraded, and equal to the offline path."""
        return self.compared == self.sent and not self.feature_mismatches and not self.score_mismatches

    def __rich__(self) -> RenderableType:
        """Return the report as tables, the verdict last."""
        parts: list[RenderableType] = [self.backfill, self._parity()]
        if self.feature_mismatches or self.score_mismatches:
            parts.append(self._examples())
        parts += [self._tiers(), self._quality()]
        for name, count in self.failures.items():
            parts.append(Text(f"{count:,} failed with {name}: {'; '.join(self.failure_examples)}", "red"))
        if self.failures:
            parts.append("What failed is in the history, but not in the store: later rows differ by it.")
        for name, count in self.degraded.items():
            parts.append(Text(f"{count:,} were decided without {name}, and not compared.", "red"))
        parts.append(self._verdict())
        return Group(*parts)

    def _parity(self) -> Table:
        table = Table("", title=f"Online against offline, {self.compared:,} transactions", title_justify="left")
        for column in ("values", "different", "largest difference"):
            table.add_column(column, justify="right")
        features = self.features.values()
        largest = max((differences.largest for differences in features), default=0.0)
        values = self.compared * len(self.features)
        name = f"{len(self.features)} features (equal)"
        table.add_row(name, f"{values:,}", f"{self.feature_mismatches:,}", f"{largest:.3g}")
        for name, differences in self.scores.items():
            label = f"score {name} (to {SCORE_TOLERANCE:g})"
            table.add_row(label, f"{self.compared:,}", f"{differences.count:,}", f"{differences.largest:.3g}")
        return table

    def _examples(self) -> Table:
        table = Table("column", "different", "transaction", "online", "offline", title="Differences")
        for name, differences in (self.features | self.scores).items():
            for first, example in enumerate(differences.examples):
                count = "" if first else f"{differences.count:,}"
                values = (example.transaction_id, repr(example.online), repr(example.offline))
                table.add_row("" if first else name, count, *(Text(value) for value in values))
        return table

    def _tiers(self) -> Table:
        title = f"Decisions on {self.decisions.labelled:,} labelled transactions"
        table = Table("decision", title=title, title_justify="left")
        for column in ("fraud", "genuine", "fraud amount", "genuine amount"):
            table.add_column(column, justify="right")
        for name, outcome in self.decisions.tiers.items():
            amounts = (outcome.fraud_amount_minor / 100, outcome.genuine_amount_minor / 100)
            table.add_row(
                name,
                f"{outcome.frauds:,}",
                f"{outcome.genuine:,}",
                *(f"{amount:,.2f}" for amount in amounts),
            )
        return table

    def _quality(self) -> str:
        metrics = self.decisions
        blocked, missed = (metrics.tiers[tier].fraud_amount_minor / 100 for tier in ("BLOCK", "APPROVE"))
        return (
            f"Prediction FRAUD: precision {_number(metrics.precision)}, recall {_number(metrics.recall)},"
            f" F1 {_number(metrics.f1)}. Fraud probability: ROC AUC {_number(metrics.roc_auc)},"
            f" average precision {_number(metrics.average_precision)}."
            f" Fraud blocked: {blocked:,.2f}; fraud approved: {missed:,.2f}."
        )

    def _verdict(self) -> Text:
        versions = ", ".join(self.versions) or "none"
        facts = f"{self.compared:,} of {self.sent:,} compared, version {versions}, {self.duration_s:.0f} s."
        if self.ok:
            return Text(f"EQUAL: {facts}", "green")
        different = f"{self.feature_mismatches:,} features and {self.score_mismatches:,} scores differ"
        return Text(f"NOT EQUAL: {different}; {facts}", "bold red")


class Outcomes:
    """Collects the answers of a replay, in the order of its rows.

    Args:
        table: the n rows that are sent.
        comparison: compares complete answers.
        offline: the offline feature matrix (n, features) of these rows.
    """

    def __init__(self, table: pa.Table, comparison: Comparison, offline: Matrix) -> None:
        self._table = table
        self._comparison = comparison
        self._offline = offline
        self._answers: list[tuple[int, Answer]] = []
        self._failures: Counter[str] = Counter()
        self._examples: list[str] = []
        self._degraded: Counter[str] = Counter()

    def add(self, start: int, results: Sequence[Answer | Failure]) -> None:
        """Take in the results of the rows from ``start`` on."""
        complete: list[tuple[int, Answer]] = []
        for row, result in enumerate(results, start):
            if isinstance(result, Failure):
                self._failures[result.code] += 1
                if len(self._examples) < EXAMPLES:
                    self._examples.append(result.message)
                continue
            # The features have been compared by then; what is kept of an answer shall stay small.
            self._answers.append((row, result.model_copy(update={"features": {}})))
            self._degraded.update(result.degraded)
            if not result.degraded:
                complete.append((row, result))
        rows = [row for row, _ in complete]
        self._comparison.add([answer for _, answer in complete], self._offline[rows])

    def report(self, since: datetime, backfill: BackfillReport, cleared: int, duration_s: float) -> ReplayReport:
        """Return the report of all results."""
        comparison = self._comparison
        return ReplayReport(
            since=since,
            backfill=backfill,
            cleared=cleared,
            sent=len(self._answers) + self._failures.total(),
            decided=len(self._answers),
            failures=dict(self._failures),
            failure_examples=tuple(self._examples),
            degraded=dict(self._degraded),
            compared=comparison.compared,
            features=comparison.features,
            scores=comparison.scores,
            versions=comparison.versions,
            decisions=self._decisions(),
            duration_s=duration_s,
        )

    def _decisions(self) -> DecisionMetrics:
        rows = [row for row, _ in self._answers]
        answers = [answer for _, answer in self._answers]
        return decision_metrics(
            [answer.decision for answer in answers],
            np.array([answer.prediction == "FRAUD" for answer in answers], bool),
            np.array([answer.fraud_probability for answer in answers], np.float64),
            pc.fill_null(self._table.column("is_fraud"), -1).to_numpy()[rows].astype(np.int8),
            self._table.column("amount_minor").to_numpy()[rows],
        )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
