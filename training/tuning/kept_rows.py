"""Point-in-time features for a search: computed once, kept as files that every trial maps into its memory.

features.npy    (n, d) float64, in order of time
rows.npz        what metrics need of the same rows
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES
from features.formulas import Matrix
from features.known_labels import LabelChanges, Verdicts
from features.transaction import Int64s
from training.arrivals import milliseconds
from training.bundle import Period
from training.evaluation.held_out import HeldOut
from training.evaluation.own_features import FeatureRows
from training.feature_files import VERDICTS
from training.scratch import scratch_folder

FEATURES_FILE: Final = "features.npy"
ROWS_FILE: Final = "rows.npz"


@dataclass(frozen=True, slots=True, eq=False)
class KeptRows:
    """n labelled rows of a history with all features.

    Attributes:
        matrix: (n, d) float64, read from the disk where it is touched.
        rows: the same rows as metrics need them, without slices.
        verdicts: who was known as a fraud, from when.
    """

    matrix: Matrix
    rows: HeldOut
    verdicts: Verdicts

    @classmethod
    def open(cls, folder: Path) -> "KeptRows":
        """Return the rows that :func:`keep_rows` wrote."""
        with np.load(folder / ROWS_FILE) as arrays:
            rows = HeldOut(
                event_time_ms=arrays["event_time_ms"],
                amount_minor=arrays["amount_minor"],
                customer=arrays["customer"],
                customers=int(arrays["customers"]),
                labels=arrays["labels"],
                groupings={},
            )
            changes = LabelChanges(arrays["changed_row"], arrays["changed_ms"], arrays["change"])
            verdicts = Verdicts(arrays["first_verdict_ms"], changes)
        return cls(np.load(folder / FEATURES_FILE, mmap_mode="r"), rows, verdicts)

    def between(self, period: Period) -> Int64s:
        """Return which rows (ascending indices) lie in a period."""
        time = self.rows.event_time_ms
        return np.flatnonzero((time >= milliseconds(period.since)) & (time < milliseconds(period.until)))


def keep_rows(history: Path, period: Period, folder: Path) -> None:
    """Compute the features of the labelled rows of a period, and keep them in a folder. Ray must be running.

    The second file is written last and at once, so that where it is, both are whole.

    Raises:
        InvalidHistory: the history cannot be read.
        OutOfSpace: the disk for temporary files is too full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as scratch:
        keep(FeatureRows.of(history, period, scratch), folder)


def keep(computed: FeatureRows, folder: Path) -> None:
    rows = computed.rows
    # In order of time, so that the periods of a fold are read from the disk in one piece.
    order = np.argsort(rows.event_time_ms, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    matrix = np.lib.format.open_memmap(
        folder / FEATURES_FILE, mode="w+", dtype=np.float64, shape=(len(rows), len(FEATURE_NAMES))
    )
    start = 0
    for block in computed.matrices(np.arange(len(rows))):
        matrix[place[start : start + len(block)]] = block
        start += len(block)
    matrix.flush()
    verdicts = Verdicts.of(pa.concat_tables(computed.held.blocks(VERDICTS)))
    partial = folder / f"{ROWS_FILE}.partial.npz"
    np.savez(
        partial,
        event_time_ms=rows.event_time_ms[order],
        amount_minor=rows.amount_minor[order],
        customer=rows.customer[order],
        customers=rows.customers,
        labels=rows.labels[order],
        first_verdict_ms=verdicts.first_ms[order],
        changed_row=place[verdicts.changes.row],
        changed_ms=verdicts.changes.known_ms,
        change=verdicts.changes.change,
    )
    os.replace(partial, folder / ROWS_FILE)


def are_kept(folder: Path) -> bool:
    """Return whether a folder holds rows."""
    return (folder / ROWS_FILE).is_file()
