"""Folds judged on the product's own features: computed once for a protocol, then read block by block."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import ray
import ray.data

from features.formulas import Matrix
from features.transaction import Int64s
from training.arrivals import milliseconds
from training.bundle import Bundle, Period
from training.evaluation.held_out import MINOR_UNITS, HeldOut, Rows
from training.evaluation.judged import JudgedFold, bundle_importance, bundle_scores, concatenated, some_rows
from training.evaluation.known_frauds import judged_rows
from training.evaluation.protocols import Fold
from training.evaluation.slices import slices
from training.feature_rows import EVENT_TIME, labelled_rows, rows_within, to_labels, to_matrix

_BESIDE: Final = ("customer_id", "fraud_pattern")
_ID: Final = "transaction_id"


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRows:
    """The labelled rows of some time with all features, as blocks in Ray's object store.

    Attributes:
        dataset: the rows, for fitting.
        blocks: the same rows as references to Arrow tables.
        rows: what metrics need of them, in the order of the blocks.
        ids: their transaction ids, when they were asked for.
    """

    dataset: ray.data.Dataset
    blocks: Sequence["ray.ObjectRef[pa.Table]"]
    rows: HeldOut
    ids: pa.ChunkedArray | None = None

    @classmethod
    def of(cls, history: Path, period: Period, *, ids: bool = False) -> "FeatureRows":
        """Return the labelled rows of a period, computed. Ray must be running.

        Args:
            ids: keep their transaction ids, too.

        Raises:
            InvalidHistory: the history cannot be read.
        """
        beside = (*_BESIDE, _ID) if ids else _BESIDE
        dataset = labelled_rows(history, period, beside)
        blocks = dataset.to_arrow_refs()
        table = pa.concat_tables([_small(ray.get(block), beside) for block in blocks])
        return cls(dataset, blocks, _held_out(table), table.column(_ID) if ids else None)

    def within(self, period: Period) -> ray.data.Dataset:
        """Return ``is_fraud`` and ``FEATURE_NAMES`` of the rows of a period, for fitting."""
        return rows_within(self.dataset, period)

    def between(self, period: Period) -> Rows:
        """Return which rows lie in a period."""
        time = self.rows.event_time_ms
        return np.asarray((time >= milliseconds(period.since)) & (time < milliseconds(period.until)))

    def matrices(self, chosen: Int64s) -> Iterator[Matrix]:
        """Yield the features of chosen rows (ascending indices), one block at a time."""
        start = 0
        for block in self.blocks:
            table = ray.get(block)
            first, last = np.searchsorted(chosen, [start, start + len(table)])
            if last > first:
                yield to_matrix(table.take(chosen[first:last] - start))
            start += len(table)

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


def _small(block: pa.Table, beside: tuple[str, ...]) -> pa.Table:
    """Return what metrics need of a block."""
    return block.select([EVENT_TIME, "is_fraud", *beside, "amount", *_SLICED_BY])


def _held_out(table: pa.Table) -> HeldOut:
    customers = table.column("customer_id").combine_chunks().dictionary_encode()
    labels = to_labels(table)
    amount_minor = np.rint(table.column("amount").to_numpy() * MINOR_UNITS).astype(np.int64)
    customer, merchant, frauds = (table.column(name).to_numpy() for name in _SLICED_BY)
    patterns = table.column("fraud_pattern").to_pylist()
    return HeldOut(
        event_time_ms=table.column(EVENT_TIME).cast(pa.timestamp("ms", tz="UTC")).cast(pa.int64()).to_numpy(),
        amount_minor=amount_minor,
        customer=customers.indices.to_numpy().astype(np.int64),
        customers=len(customers.dictionary),
        labels=labels,
        groupings=slices(labels, amount_minor, customer, merchant, frauds, patterns),
    )
