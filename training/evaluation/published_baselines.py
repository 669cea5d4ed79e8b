"""The baselines of the Fraud Detection Handbook on its own features, as it fitted them (chapter 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import xgboost as xgb
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from features.formulas import Matrix
from features.known_labels import UNDECIDED, Verdicts
from training.arrivals import milliseconds
from training.bundle import EnsembleWeights
from training.evaluation.held_out import HeldOut
from training.evaluation.judged import Importance, JudgedFold, mean_contribution, some_rows
from training.evaluation.known_frauds import judged_rows
from training.evaluation.protocols import Fold
from training.evaluation.published_features import PUBLISHED_NAMES, published_matrix
from training.evaluation.set_aside import with_payments_of_nothing
from training.evaluation.slices import slices
from training.history_files import read_days
from training.ingestion.mapping import ColumnMapping
from training.models import Floats

ROUNDS: Final = 100
"""Trees: the default of XGBoost's scikit-learn interface."""


@dataclass(frozen=True, slots=True, eq=False)
class PublishedRows:
    """The labelled rows of a history (n,), their published features (n, 15), and who was known as a fraud when."""

    rows: HeldOut
    matrix: Matrix
    verdicts: Verdicts

    @classmethod
    def of(cls, history: Path, mapping: ColumnMapping | None) -> "PublishedRows":
        """Return the rows of a history.

        Args:
            mapping: with which it was ingested, to read payments of amount 0 back; None: without them.

        Raises:
            InvalidHistory: the history cannot be read.
        """
        table = read_days(history) if mapping is None else with_payments_of_nothing(history, mapping)
        matrix = published_matrix(table)
        known = pc.is_valid(table.column("is_fraud")).to_numpy()
        table = table.filter(pa.array(known))
        return cls(_held_out(table, matrix[known]), matrix[known], Verdicts.of(table))

    def judge(self, fold: Fold) -> JudgedFold:
        """Return the test of a fold by baselines fitted on its training period; they need no validation."""
        rows = self.rows
        time = rows.event_time_ms
        train = (time >= milliseconds(fold.train.since)) & (time < milliseconds(fold.train.until))
        in_test = (time >= milliseconds(fold.test.since)) & (time < milliseconds(fold.test.until))
        judged = np.flatnonzero(judged_rows(fold, time, rows.customer, rows.labels))
        known = self.verdicts.known_by(milliseconds(fold.test.since))
        train &= known != UNDECIDED
        labels = known[train].astype(np.float64)
        baselines = Baselines.fit(self.matrix[train], labels)
        test = self.matrix[judged]
        return JudgedFold(
            fold=fold,
            rows=rows.take(judged),
            scores=baselines.scores(test),
            importance=baselines.importance(test[some_rows(len(test))]),
            train_rows=int(train.sum()),
            train_frauds=int(labels.sum()),
            left_out=int(in_test.sum()) - len(judged),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Baselines:
    """Both baselines, fitted."""

    scaler: StandardScaler
    lr: LogisticRegression
    booster: xgb.Booster

    @classmethod
    def fit(cls, matrix: Matrix, labels: Floats) -> "Baselines":
        """Return the baselines with the defaults of scikit-learn and of the XGBoost of 2021.

        Of that one are ``exact`` cuts, which it chose for data of this size, and the constant to begin from. With
        the cuts of today's default, 256 quantiles, average precision is .07 lower: none lies at high amounts.
        """
        scaler = StandardScaler().fit(matrix)
        lr = LogisticRegression(random_state=0).fit(scaler.transform(matrix), labels)
        parameters = {"objective": "binary:logistic", "tree_method": "exact", "base_score": 0.5, "nthread": 1}
        columns = xgb.DMatrix(matrix, labels, feature_names=list(PUBLISHED_NAMES))
        return cls(scaler, lr, xgb.train(parameters, columns, ROUNDS))

    def scores(self, matrix: Matrix) -> dict[str, Floats]:
        """Return the probabilities (n,) of both and of their plain mean, which the handbook does not publish."""
        lr = np.asarray(self.lr.predict_proba(self.scaler.transform(matrix))[:, 1], np.float64)
        boosted = np.asarray(self.booster.inplace_predict(matrix, validate_features=False), np.float64)
        return {"lr": lr, "xgb": boosted, "ensemble": EnsembleWeights().combine(lr, boosted)}

    def importance(self, matrix: Matrix) -> dict[str, Importance]:
        """Return for each score the mean absolute log-odds that each feature adds."""
        linear = self.scaler.transform(matrix) * self.lr.coef_[0]
        columns = xgb.DMatrix(matrix, feature_names=list(PUBLISHED_NAMES))
        boosted = self.booster.predict(columns, pred_contribs=True, approx_contribs=True)[:, :-1]
        added = {"lr": linear, "xgb": boosted, "ensemble": (linear + boosted) / 2}
        return {score: mean_contribution(PUBLISHED_NAMES, one) for score, one in added.items()}


def _held_out(table: pa.Table, matrix: Matrix) -> HeldOut:
    customers = table.column("customer_id").combine_chunks().dictionary_encode()
    labels = table.column("is_fraud").to_numpy().astype(np.float64)
    amount = table.column("amount_minor").to_numpy()
    column = dict(zip(PUBLISHED_NAMES, matrix.T, strict=True))
    # Here the payment is in its own window, and only merchants are known by their payments of a week ago.
    merchant = column["merchant_count_30d_delayed"]
    frauds = merchant * column["merchant_fraud_rate_30d_delayed"]
    before = column["count_30d_inclusive"] - 1
    patterns: Sequence[str | None] = table.column("fraud_pattern").to_pylist()
    return HeldOut(
        event_time_ms=table.column("event_time").cast(pa.int64()).to_numpy(),
        amount_minor=amount,
        customer=customers.indices.to_numpy().astype(np.int64),
        customers=len(customers.dictionary),
        labels=labels,
        groupings=slices(labels, amount, before, merchant, frauds, patterns),
    )
