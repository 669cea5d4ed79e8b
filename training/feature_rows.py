"""The rows that models are fitted and judged on: features and label, in Ray Data, then as matrices."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import ray
import ray.data

from features.definitions import DAY_MS, FEATURE_NAMES
from features.formulas import Matrix
from features.transaction import Int64s
from training.bundle import Period
from training.models import Floats
from training.point_in_time import point_in_time

EVENT_TIME: Final = "event_time"
LABEL: Final = "is_fraud"


def labelled_rows(history: Path, period: Period, beside: tuple[str, ...] = ()) -> ray.data.Dataset:
    """Return ``event_time``, ``is_fraud`` and ``FEATURE_NAMES`` of the labelled rows of a period, computed.

    The rows come in the same order in every run. Ray must be running.

    Args:
        beside: other ``ID_COLUMNS`` that are wanted.

    Raises:
        InvalidHistory: the history cannot be read.
    """
    lazy = point_in_time(history, since=period.since, until=period.until)
    return in_fixed_order(_map(lazy, _labelled, beside).materialize())


def rows_within(rows: ray.data.Dataset, period: Period) -> ray.data.Dataset:
    """Return, lazily, ``event_time``, ``is_fraud`` and ``FEATURE_NAMES`` of the rows of a period."""
    return _map(rows, _between, period.since, period.until)


def in_fixed_order(rows: ray.data.Dataset) -> ray.data.Dataset:
    """Return the blocks in an order of their content, not that in which they happened to be ready.

    Which rows a worker gets follows from it, and boosted trees differ a little from one sharding to another.
    """
    blocks = rows.to_arrow_refs()
    key = ray.remote(_first_row)
    keys = ray.get([key.remote(block) for block in blocks])
    order = sorted(range(len(blocks)), key=keys.__getitem__)
    fixed = ray.data.from_arrow_refs([blocks[position] for position in order])
    fixed.context.enable_progress_bars = rows.context.enable_progress_bars
    return fixed


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


def _map(rows: ray.data.Dataset, function: Callable[..., pa.Table], *args: Any) -> ray.data.Dataset:
    return rows.map_batches(function, fn_args=args, batch_size=None, batch_format="pyarrow", zero_copy_batch=True)


def _labelled(rows: pa.Table, beside: tuple[str, ...]) -> pa.Table:
    return rows.select([EVENT_TIME, LABEL, *beside, *FEATURE_NAMES]).filter(pc.is_valid(rows.column(LABEL)))


def _between(rows: pa.Table, since: datetime, until: datetime) -> pa.Table:
    time = rows.column(EVENT_TIME)
    first, end = (pa.scalar(moment, time.type) for moment in (since, until))
    chosen = pc.and_(pc.greater_equal(time, first), pc.less(time, end))
    return rows.select([EVENT_TIME, LABEL, *FEATURE_NAMES]).filter(chosen)


def _first_row(block: pa.Table) -> tuple[Any, ...]:
    """Return the first row, nothing if there is none; within a block the rows are in order of arrival."""
    return tuple(block.slice(0, 1).to_pylist()[0].values()) if len(block) else ()
