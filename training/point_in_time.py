"""The training matrix: every transaction of a history with its features as of its own moment, on Ray Data.

An aggregate needs the whole past of one entity and nothing else. So the rows are shuffled by device, then by
merchant, then by customer, and each partition goes whole through the offline evaluator, carrying the columns
along. The driver reads file footers alone.
"""

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]
import ray.data
from ray.data.context import ShuffleStrategy

from features.definitions import AGGREGATE_COLUMNS, FEATURE_NAMES
from features.entity_events import REACH_MS
from features.errors import InvalidHistory
from features.formulas import feature_matrix
from features.history import HISTORY_SCHEMA
from features.offline import check_arrival, customer_columns, device_columns, merchant_columns, own_columns
from features.transaction import Int64s
from training.history_files import read_history

ID_COLUMNS: Final = ("transaction_id", "event_time", "customer_id", "is_fraud", "fraud_pattern")
"""What is returned beside the features."""

_READ: Final = (*ID_COLUMNS, "merchant_id", "device_id", "amount_minor", "lat", "long", "arrival", "known_labels")
_ROWS_PER_PARTITION: Final = 200_000
"""About 60 MB of rows with all their aggregates; Ray Data spends about a tenth of a second on a partition."""

Evaluator = Callable[[pa.Table], dict[str, Int64s]]
# The customers come last: their shuffle need not carry their own aggregates, which are the most.
_STAGES: Final[tuple[tuple[str, Evaluator], ...]] = (
    ("device_id", device_columns),
    ("merchant_id", merchant_columns),
    ("customer_id", customer_columns),
)


def point_in_time(
    history: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    partitions: int | None = None,
    show_progress: bool = False,
) -> ray.data.Dataset:
    """Return ``ID_COLUMNS`` and ``FEATURE_NAMES`` (float64) of the transactions in ``[since, until)``.

    All earlier history counts, whatever ``since`` is. The dataset is lazy: consuming it computes it, each time
    anew unless it is materialized. Its rows are in no particular order. Ray must be running.

    Args:
        history: a history folder (:mod:`training.history_files`) that every node can read.
        since, until: bounds on event time, with a time zone; None: open.
        partitions: pieces that the entities are divided into; None: by the number of rows.
        show_progress: draw Ray Data's progress bars.

    Raises:
        InvalidHistory: as :func:`training.history_files.read_history`; or ``arrival`` is null in some rows only.
    """
    files, rows = _files(history, since, until)
    count = partitions or -(-rows // _ROWS_PER_PARTITION)
    table: ray.data.Dataset = ray.data.from_items(files, override_num_blocks=min(len(files), count))
    # Pinned: the older hash shuffle, which works with actors, did not finish on two cores.
    table.context.shuffle_strategy = ShuffleStrategy.SHUFFLE_V2
    _quieten(table, show_progress=show_progress)
    table = _map(table, _read_files)
    for column, evaluate in _STAGES:
        table = _map(table, _with_shuffle_key, column)
        # Ray Data makes one block of each partition, whatever its size, so every entity is whole in its block.
        table = table.repartition(count, keys=["shuffle_key"])
        table = _map(table, _aggregate, column, evaluate)
    return _map(table, _features, since, until)


def _map(table: ray.data.Dataset, function: Callable[..., pa.Table], *args: Any) -> ray.data.Dataset:
    return table.map_batches(function, fn_args=args, batch_size=None, batch_format="pyarrow")


def _quieten(table: ray.data.Dataset, *, show_progress: bool) -> None:
    """Keep Ray Data's notes off the terminal; its log files in the Ray session keep them. Warnings stay."""
    table.context.enable_progress_bars = show_progress
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.WARNING)
    if not show_progress:
        # Its one warning says that the bars are off.
        logging.getLogger("ray.data._internal.progress").setLevel(logging.ERROR)


def _files(history: Path, since: datetime | None, until: datetime | None) -> tuple[list[dict[str, Any]], int]:
    """Return the files that matter, each with the position of its first row, and the number of their rows."""
    source = read_history(history)
    nulls = source.count_rows(filter=pc.is_null(ds.field("arrival")))
    check_arrival(nulls, source.count_rows())
    days = None
    if nulls:
        # Rows came in order of event time, so the days that no window of these transactions reaches cannot
        # matter. With arrival numbers they can: a late event still displaces others from a log.
        days = _days(since, until)
    files, position = [], 0
    for fragment in source.get_fragments(filter=days):
        files.append({"path": fragment.path, "position": position})
        position += fragment.count_rows()
    if not position:
        raise InvalidHistory(f"{history} holds no transactions from {since} to {until}")
    return files, position


def _days(since: datetime | None, until: datetime | None) -> ds.Expression:
    reach = timedelta(milliseconds=REACH_MS)
    first = date.min if since is None else (since.astimezone(UTC) - reach).date()
    last = date.max if until is None else until.astimezone(UTC).date()
    return (ds.field("day") >= first.isoformat()) & (ds.field("day") <= last.isoformat())


def _read_files(files: pa.Table) -> pa.Table:
    """Return the rows of some files with their ``position`` in the history, which orders ties."""
    tables = []
    for file in files.to_pylist():
        # Through a dataset, which fills a column that an older file lacks with nulls.
        source = ds.dataset(file["path"], format="parquet", schema=HISTORY_SCHEMA)
        table = source.to_table(columns=list(_READ))
        positions = np.arange(file["position"], file["position"] + len(table))
        tables.append(table.append_column("position", pa.array(positions)))
    return pa.concat_tables(tables)


def _with_shuffle_key(rows: pa.Table, column: str) -> pa.Table:
    """Return the rows with a key that is equal for equal ids, and spreads rows without an id evenly."""
    encoded = rows.column(column).combine_chunks().dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), ""], object)
    hashes = pd.util.hash_array(words, categorize=False).view(np.int64)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    key = np.where(codes < 0, rows.column("position").to_numpy(), hashes[codes])
    return rows.append_column("shuffle_key", pa.array(key))


def _aggregate(rows: pa.Table, column: str, evaluate: Evaluator) -> pa.Table:
    """Return the rows with the aggregates of the entities that ``column`` names; all rows of each are here."""
    rows = rows.drop_columns("shuffle_key").sort_by("position")
    for name, values in evaluate(rows).items():
        rows = rows.append_column(name, pa.array(values))
    return rows if column in ID_COLUMNS else rows.drop_columns(column)


def _features(rows: pa.Table, since: datetime | None, until: datetime | None) -> pa.Table:
    chosen = pa.array(np.ones(len(rows), bool))
    if since is not None:
        chosen = pc.and_(chosen, pc.greater_equal(rows.column("event_time"), _moment(since)))
    if until is not None:
        chosen = pc.and_(chosen, pc.less(rows.column("event_time"), _moment(until)))
    rows = rows.filter(chosen)
    columns = {name: rows.column(name).to_numpy() for name in AGGREGATE_COLUMNS}
    matrix = feature_matrix({**own_columns(rows), **columns})
    table = rows.select(ID_COLUMNS)
    for position, name in enumerate(FEATURE_NAMES):
        table = table.append_column(name, pa.array(matrix[:, position]))
    return table


def _moment(time: datetime) -> pa.Scalar:
    return pa.scalar(time.astimezone(UTC), pa.timestamp("us", tz="UTC"))
