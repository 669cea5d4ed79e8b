"""The training matrix: every transaction of a history with its features as of its own moment, out of core, on Ray.

An aggregate needs the whole past of one entity and nothing else. So rows are divided by entity, three times over,
and each part goes whole through the offline evaluator:

    read       day files -> what the aggregates of customers, merchants and devices need, divided by entity
    aggregate  one part of the merchants, or of the devices -> their aggregates, divided by customer
    join       one part of the customers, and the aggregates of its rows -> features

Between them lie files (:mod:`training.partition_files`), so that memory holds some parts and never the history.
The driver reads file footers alone. What comes out does not depend on which task was ready first.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.dataset as ds  # type: ignore[import-untyped]
import ray
from ray.exceptions import RayTaskError

from features.definitions import AGGREGATE_COLUMNS, FEATURE_NAMES
from features.entity_events import REACH_MS
from features.errors import InvalidHistory
from features.formulas import feature_matrix
from features.history import HISTORY_SCHEMA
from features.offline import check_arrival, customer_columns, device_columns, merchant_columns, own_columns
from features.transaction import Int64s
from training.feature_files import FeatureTable, joined, write_features
from training.history_files import read_history
from training.partition_files import MAX_PARTITIONS, Partitions, read_partition, write_partitions
from training.scratch import check_space

ID_COLUMNS: Final = ("transaction_id", "event_time", "customer_id", "is_fraud", "fraud_pattern")
"""What is returned beside the features."""

ROWS_PER_PARTITION: Final = 200_000
"""About 60 MB of rows with all their aggregates, of which a task holds some copies."""
_ROWS_PER_READ: Final = 250_000
_BYTES_PER_ROW: Final = 450
"""Space for temporary files that a row of the history needs: 320 for simulated payments, and some to spare."""

_Side = Literal["device_id", "merchant_id"]
_EVALUATORS: Final[dict[_Side, Callable[[pa.Table], dict[str, Int64s]]]] = {
    "device_id": device_columns,
    "merchant_id": merchant_columns,
}
_EVENT: Final = ("event_time", "amount_minor", "arrival")
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "device_id": (*_EVENT, "device_id"),
    "merchant_id": (*_EVENT, "merchant_id", "is_fraud", "known_labels"),
    "customer_id": (*_EVENT, "customer_id", "is_fraud", "lat", "long"),
}
"""Entity to the columns that its aggregates, and the features of its rows, are computed from."""
_POSITION: Final = "position"
_READER: Final = "customer_partition"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What all tasks of one run know.

    Attributes:
        folder: for files between the tasks and for the features; every node can write it.
        partitions: pieces that the entities of each kind are divided into.
        since, until, columns, labelled: as in :func:`point_in_time`.
    """

    folder: Path
    partitions: int
    since: datetime | None
    until: datetime | None
    columns: tuple[str, ...]
    labelled: bool

    def file(self, what: str, number: int) -> Path:
        """Return the path of a numbered file."""
        return self.folder / what / f"{number}.arrow"


def point_in_time(
    history: Path,
    folder: Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    columns: tuple[str, ...] = ID_COLUMNS,
    labelled: bool = False,
    partitions: int | None = None,
) -> FeatureTable:
    """Return ``columns`` and ``FEATURE_NAMES`` (float64) of the transactions in ``[since, until)``, computed.

    All earlier history counts, whatever ``since`` is. The rows come in the same order in every run: by partition
    of the customers, then by event time. Ray must be running.

    Args:
        history: a history folder (:mod:`training.history_files`) that every node can read.
        folder: an empty folder that every node can write; the features lie in it.
        since, until: bounds on event time, with a time zone; None: open.
        columns: of the history that are wanted beside the features.
        labelled: leave out rows without a label.
        partitions: pieces that the entities are divided into; None: by the number of rows.

    Raises:
        InvalidHistory: as :func:`training.history_files.read_history`; or ``arrival`` is null in some rows only.
        OutOfSpace: the disk of ``folder`` is too full.
    """
    groups, rows = _files(history, since, until)
    check_space(folder, rows * _BYTES_PER_ROW)
    count = min(partitions or -(-rows // ROWS_PER_PARTITION), MAX_PARTITIONS)
    plan = _Plan(folder, count, since, until, columns, labelled)
    for what in (*_NEEDED, *(f"{side}-aggregates" for side in _EVALUATORS), "features"):
        (folder / what).mkdir()
    _run(folder, _read, [(plan, number, group) for number, group in enumerate(groups)])
    for side in _EVALUATORS:
        _run(folder, _aggregate, [(plan, side, part, len(groups)) for part in range(count)])
        shutil.rmtree(folder / side)
    tables = _run(folder, _join, [(plan, part, len(groups)) for part in range(count)])
    for what in ("customer_id", *(f"{side}-aggregates" for side in _EVALUATORS)):
        shutil.rmtree(folder / what)
    return joined(tables)


def _run(folder: Path, task: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Return what a task returns for each of its arguments, in their order.

    Raises:
        OSError: a task could not write, as the disk is full; Ray wraps such errors into one of its own.
    """
    remote = ray.remote(task)
    pending = [remote.remote(*one) for one in arguments]
    try:
        return list(ray.get(pending))
    except RayTaskError as error:
        if isinstance(error.cause, OSError) and error.cause.errno == errno.ENOSPC:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise
    finally:
        _, running = ray.wait(pending, num_returns=len(pending), timeout=0)
        if running:
            # After an error. The others fail at once without the folder, and write nothing there once it is gone.
            # They are not cancelled: Ray 2.60 ends its own process when a task ends just then.
            shutil.rmtree(folder, ignore_errors=True)
            ray.wait(running, num_returns=len(running))


def _files(
    history: Path, since: datetime | None, until: datetime | None
) -> tuple[list[list[tuple[str, int]]], int]:
    """Return the files that matter, in groups, each with the position of its first row, and the number of rows."""
    source = read_history(history)
    nulls = source.count_rows(filter=pc.is_null(ds.field("arrival")))
    check_arrival(nulls, source.count_rows())
    days = None
    if nulls:
        # Rows came in order of event time, so the days that no window of these transactions reaches cannot
        # matter. With arrival numbers they can: a late event still displaces others from a log.
        days = _days(since, until)
    groups: list[list[tuple[str, int]]] = []
    position, full = 0, 0
    for fragment in source.get_fragments(filter=days):
        if position >= full:
            groups.append([])
            full = position + _ROWS_PER_READ
        groups[-1].append((fragment.path, position))
        position += fragment.count_rows()
    if not position:
        raise InvalidHistory(f"{history} holds no transactions from {since} to {until}")
    return groups, position


def _days(since: datetime | None, until: datetime | None) -> ds.Expression:
    reach = timedelta(milliseconds=REACH_MS)
    first = date.min if since is None else (since.astimezone(UTC) - reach).date()
    last = date.max if until is None else until.astimezone(UTC).date()
    return (ds.field("day") >= first.isoformat()) & (ds.field("day") <= last.isoformat())


def _read(plan: _Plan, number: int, files: Sequence[tuple[str, int]]) -> None:
    """Divide the rows of some files by device, by merchant and by customer."""
    rows = pa.concat_tables(list(_tables(plan, files)))
    reader = _partition(rows, "customer_id", plan.partitions)
    for entity, needed in _NEEDED.items():
        wanted = (*needed, *plan.columns) if entity == "customer_id" else needed
        part = rows.select([_POSITION, *dict.fromkeys(wanted)])
        if entity == "customer_id":
            write_partitions(plan.file(entity, number), part, reader, plan.partitions)
        else:
            part = part.append_column(_READER, pa.array(reader))
            divided = _partition(rows, entity, plan.partitions)
            write_partitions(plan.file(entity, number), part, divided, plan.partitions)


def _tables(plan: _Plan, files: Sequence[tuple[str, int]]) -> Iterator[pa.Table]:
    """Yield the rows of each file with their position in the history, which orders ties."""
    wanted = {*plan.columns, *(name for needed in _NEEDED.values() for name in needed)}
    for path, first in files:
        # Through a dataset, which fills a column that an older file lacks with nulls.
        source = ds.dataset(path, format="parquet", schema=HISTORY_SCHEMA)
        table = source.to_table(columns=[name for name in HISTORY_SCHEMA.names if name in wanted])
        yield table.append_column(_POSITION, pa.array(np.arange(first, first + len(table))))


def _partition(rows: pa.Table, column: str, count: int) -> Partitions:
    """Return the partition (n,) of each row: equal for equal ids, and rows without an id spread evenly."""
    encoded = rows.column(column).combine_chunks().dictionary_encode()
    words = np.array([*encoded.dictionary.to_pylist(), ""], object)
    hashes = pd.util.hash_array(words, categorize=False) % np.uint64(count)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    position = rows.column(_POSITION).to_numpy()
    partition: Partitions = np.where(codes < 0, position % count, hashes[codes].astype(np.int64)).astype(np.int16)
    return partition


def _aggregate(plan: _Plan, side: _Side, number: int, groups: int) -> None:
    """Compute the aggregates of some devices or merchants, all of whose rows are here, and divide by customer."""
    # Files and what they hold are in order of position.
    rows = read_partition([str(plan.file(side, group)) for group in range(groups)], number)
    found = {_POSITION: rows.column(_POSITION)}
    found |= {name: pa.array(values) for name, values in _EVALUATORS[side](rows).items()}
    reader = rows.column(_READER).to_numpy()
    write_partitions(plan.file(f"{side}-aggregates", number), pa.table(found), reader, plan.partitions)


def _join(plan: _Plan, number: int, groups: int) -> FeatureTable:
    """Write the features of the rows of some customers."""
    rows = read_partition([str(plan.file("customer_id", group)) for group in range(groups)], number)
    aggregates = customer_columns(rows)
    position = rows.column(_POSITION).to_numpy()
    for side in _EVALUATORS:
        paths = [str(plan.file(f"{side}-aggregates", part)) for part in range(plan.partitions)]
        table = read_partition(paths, number).combine_chunks()
        order = np.argsort(table.column(_POSITION).to_numpy())
        if not np.array_equal(table.column(_POSITION).to_numpy()[order], position):
            raise RuntimeError(f"{side}: aggregates and transactions of partition {number} differ")
        names = [name for name in table.column_names if name != _POSITION]
        aggregates |= {name: table.column(name).to_numpy()[order] for name in names}
    chosen = np.flatnonzero(_wanted(plan, rows))
    rows = rows.take(pa.array(chosen))
    columns = {name: aggregates[name][chosen] for name in AGGREGATE_COLUMNS}
    matrix = feature_matrix({**own_columns(rows), **columns})
    table = rows.select(plan.columns)
    for place, name in enumerate(FEATURE_NAMES):
        table = table.append_column(name, pa.array(matrix[:, place]))
    return write_features(plan.file("features", number), table)


def _wanted(plan: _Plan, rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which rows (n,) are asked for; the others are history alone."""
    time = rows.column("event_time")
    chosen = np.ones(len(rows), bool)
    if plan.since is not None:
        chosen &= pc.greater_equal(time, _moment(plan.since)).to_numpy()
    if plan.until is not None:
        chosen &= pc.less(time, _moment(plan.until)).to_numpy()
    if plan.labelled:
        chosen &= rows.column("is_fraud").is_valid().to_numpy()
    return chosen


def _moment(time: datetime) -> pa.Scalar:
    return pa.scalar(time.astimezone(UTC), pa.timestamp("us", tz="UTC"))
