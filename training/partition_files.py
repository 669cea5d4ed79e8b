"""Rows on their way between tasks: each writer leaves a file with one record batch for each reader.

A reader takes its batch of every file, and neither of the two ever holds more than its own rows. The files lie in
a folder that all tasks can reach, compressed (LZ4), because counts and codes are mostly zeros.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

Partitions = npt.NDArray[np.int16]
MAX_PARTITIONS = np.iinfo(np.int16).max


def write_partitions(path: Path, rows: pa.Table, partition: Partitions, count: int) -> None:
    """Write rows to a new file, sorted by partition; within one they keep their order.

    Args:
        partition: (n,) of each row, in ``[0, count)``.
        count: of all partitions, each of which gets a batch, be it an empty one.
    """
    order = np.argsort(partition, kind="stable")
    batch = _one_batch(rows.take(pa.array(order)))
    bounds = np.searchsorted(partition[order], np.arange(count + 1))
    with new_file(path, rows.schema, compression="lz4") as file:
        for start, stop in pairwise(bounds.tolist()):
            file.write_batch(batch.slice(start, stop - start))


def read_partition(paths: Sequence[str], partition: int) -> pa.Table:
    """Return the rows of one partition in all files, in the order of the files."""
    return pa.Table.from_batches([_batch(path, partition) for path in paths])


@contextmanager
def new_file(
    path: Path, schema: pa.Schema, compression: str | None = None
) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """Yield the writer of a new Arrow IPC file."""
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as file:
        yield file


def _batch(path: str, number: int) -> pa.RecordBatch:
    with pa.OSFile(path) as source:
        return pa.ipc.open_file(source).get_batch(number)


def _one_batch(rows: pa.Table) -> pa.RecordBatch:
    columns = [column.combine_chunks() for column in rows.columns]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)
