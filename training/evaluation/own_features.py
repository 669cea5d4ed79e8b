"""Folds judged on the product's own features: computed once for a protocol, then read block by block."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES
from features.formulas import Matrix
from features.transaction import Int64s
from training.arrivals import milliseconds
from training.bundle import Bundle, Period
from training.costs import MINOR_UNITS
from training.evaluation.held_out import HeldOut, Rows
from training.evaluation.judged import JudgedFold, bundle_importance, bundle_scores, concatenated, some_rows
from training.evaluation.known_frauds import judged_rows
from training.evaluation.protocols import Fold
from training.evaluation.slices import slices
from training.feature_files import EVENT_TIME, LABEL, FeatureTable, known_by
from training.feature_rows import labelled_rows, to_matrix

_BESIDE: Final = ("customer_id", "fraud_pattern")
_ID: Final = "transaction_id"


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRows:
    """The labelled rows of some time with all features, in files.

    Attributes:
        folder: of the files.
        table: the rows, for fitting.
        held: those of them that metrics may be computed on.
        rows: what metrics need of these, in their order.
        ids: their transaction ids, when they were asked for.
    """

    folder: Path
    table: FeatureTable
    held: FeatureTable
    rows: HeldOut
    ids: pa.ChunkedArray | None = None

    @classmethod
    def of(
        cls, history: Path, period: Period, folder: Path, *, judging: Period | None = None, ids: bool = False
    ) -> "FeatureRows":
        """Return the labelled rows of a period, computed. Ray must be running.

        Args:
            folder: an empty folder for the files (:func:`training.scratch.scratch_folder`); they must stay as long
                as the rows are used.
            judging: the time of the rows that metrics may be computed on; None: all of it.
            ids: keep their transaction ids, too.

        Raises:
            InvalidHistory: the history cannot be read.
            OutOfSpace: the disk of ``folder`` is too full.
        """
        beside = (*_BESIDE, _ID) if ids else _BESIDE
        table = labelled_rows(history, period, folder, beside)
        held = table if judging is None else table.within(judging)
        return cls(folder, table, held, held_out(held), held.column(_ID) if ids else None)

    def learned(self, period: Period, test: Period) -> FeatureTable:
        """Return the rows of a period to learn from before a test, as they were known when it began."""
        folder = self.folder / f"known-{period.since:%Y%m%d}-{test.since:%Y%m%d}"
        return known_by(self.table.within(period), test.since, folder)

    def between(self, period: Period) -> Rows:
        """Return which of ``rows`` lie in a period."""
        time = self.rows.event_time_ms
        return np.asarray((time >= milliseconds(period.since)) & (time < milliseconds(period.until)))

    def matrices(self, chosen: Int64s) -> Iterator[Matrix]:
        """Yield the features of chosen ``rows`` (ascending indices), one block at a time."""
        for block in self.held.chosen(chosen, FEATURE_NAMES):
            yield to_matrix(block)

    def judged(self, fold: Fold) -> Int64s:
        """Return the rows that the test of a fold judges, ascending."""
        rows = self.rows
        return np.flatnonzero(judged_rows(fold, rows.event_time_ms, rows.customer, rows.labels))

    def ids_of(self, chosen: Int64s) -> list[str]:
        """Return the transaction ids of chosen rows; they must have been asked for."""
        assert self.ids is not None
        found: list[str] = self.ids.take(chosen).to_pylist()
        return found

    def judge(self, fold: Fold, bundle: Bundle) -> JudgedFold:
        """Return the test of a fold with the scores of a bundle."""
        rows, judged = self.rows, self.judged(fold)
        scored = [bundle_scores(bundle, matrix) for matrix in self.matrices(judged)]
        sample = np.concatenate(list(self.matrices(judged[some_rows(len(judged))])))
        return JudgedFold(
            fold=fold,
            rows=rows.take(judged),
            scores=concatenated(scored),
            importance=bundle_importance(bundle, sample),
            train_rows=bundle.manifest.training_rows,
            train_frauds=bundle.manifest.training_frauds,
            left_out=int(self.between(fold.test).sum()) - len(judged),
        )


_SLICED_BY: Final = ("count_last_30d", "merchant_count_last_30d", "merchant_fraud_count_30d")


def held_out(rows: FeatureTable) -> HeldOut:
    """Return what metrics need of rows, read column by column."""
    labels = rows.column(LABEL).to_numpy().astype(np.float64)
    amount_minor = np.rint(rows.column("amount").to_numpy() * MINOR_UNITS).astype(np.int64)
    customer, merchant, frauds = (rows.column(name).to_numpy() for name in _SLICED_BY)
    patterns = rows.column("fraud_pattern")
    groupings = slices(labels, amount_minor, customer, merchant, frauds, patterns)
    codes, customers = _codes(rows.column("customer_id"))
    time = rows.column(EVENT_TIME).cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64())
    return HeldOut(time.to_numpy(), amount_minor, codes, customers, labels, groupings)


def _codes(names: pa.ChunkedArray) -> tuple[Int64s, int]:
    """Return the number (n,) of each name in order of first occurrence, and how many there are."""
    encoded = names.dictionary_encode().combine_chunks()
    return encoded.indices.to_numpy().astype(np.int64), len(encoded.dictionary)
