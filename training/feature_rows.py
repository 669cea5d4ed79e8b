"""The rows that models are fitted and judged on: features and label, in files, then as matrices."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import DAY_MS, FEATURE_NAMES
from features.formulas import Matrix
from features.transaction import Int64s
from training.bundle import Period
from training.feature_files import EVENT_TIME, LABEL, VERDICTS, FeatureTable
from training.fit_parameters import FitParameters
from training.models import Floats
from training.point_in_time import point_in_time
from training.samples import Samples


def labelled_rows(history: Path, period: Period, folder: Path, beside: tuple[str, ...] = ()) -> FeatureTable:
    """Return ``VERDICTS`` and ``FEATURE_NAMES`` of the labelled rows of a period, computed.

    The rows come in the same order in every run. Ray must be running.

    Args:
        folder: an empty folder for the rows, which every node can write.
        beside: other ``ID_COLUMNS`` that are wanted.

    Raises:
        InvalidHistory: the history cannot be read.
        OutOfSpace: the disk of ``folder`` is too full.
    """
    columns = (*VERDICTS, *beside)
    return point_in_time(history, folder, since=period.since, until=period.until, columns=columns, labelled=True)


@dataclass(frozen=True, eq=False)
class FiledSamples:
    """Rows to fit on, read from files as often as they are asked for.

    Attributes:
        table: the rows.
        parameters: of the fit, which say what a row weighs.
    """

    table: FeatureTable
    parameters: FitParameters = field(default_factory=FitParameters)

    def __len__(self) -> int:
        return len(self.table)

    def blocks(self) -> Iterator[Samples]:
        """Yield the rows, a block at a time."""
        for block in self.table.blocks([LABEL, *FEATURE_NAMES]):
            labels = to_labels(block)
            yield Samples(to_matrix(block), labels, self.parameters.weights(labels))


def to_matrix(table: pa.Table) -> Matrix:
    """Return the feature columns of a table as a matrix (n, d) float64."""
    matrix = np.empty((len(table), len(FEATURE_NAMES)))
    for position, name in enumerate(FEATURE_NAMES):
        matrix[:, position] = table.column(name).to_numpy()
    return matrix


def to_labels(table: pa.Table) -> Floats:
    """Return the labels of a table (n,) as 0.0 or 1.0."""
    labels: Floats = table.column(LABEL).to_numpy().astype(np.float64)
    return labels


def to_days(table: pa.Table) -> Int64s:
    """Return the UTC days of a table's rows (n,) since the epoch."""
    days: Int64s = table.column(EVENT_TIME).cast(pa.timestamp("ms", "UTC")).cast(pa.int64()).to_numpy() // DAY_MS
    return days


def to_amounts_minor(table: pa.Table) -> Int64s:
    """Return the amounts of a table's rows (n,) in minor units, from the feature, which holds major ones."""
    amounts: Int64s = np.rint(table.column("amount").to_numpy() * 100).astype(np.int64)
    return amounts
