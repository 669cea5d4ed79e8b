"""Which rows repeat an earlier transaction_id: 16 bytes of memory a row, and exact."""

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from features.transaction import Int64s
from training.ingestion.day_buckets import DayBuckets


class SeenIds:
    """Remembers of each row a 64-bit hash of its transaction_id, and its position among all rows of the source."""

    def __init__(self) -> None:
        self._hashes: list[np.ndarray[tuple[int], np.dtype[np.uint64]]] = []
        self._positions: list[Int64s] = []

    def add(self, ids: pa.Array, position: Int64s) -> None:
        """Take in the ids of rows (n,) and their positions, which grow from call to call."""
        texts = ids.to_numpy(zero_copy_only=False) if isinstance(ids, pa.Array) else ids.to_numpy()
        self._hashes.append(pd.util.hash_array(texts, categorize=False))
        self._positions.append(position)

    def suspects(self) -> Int64s:
        """Return the positions, sorted, of all rows that share their hash with another row."""
        if not self._hashes:
            return np.zeros(0, np.int64)
        hashes, position = np.concatenate(self._hashes), np.concatenate(self._positions)
        order = np.argsort(hashes, kind="stable")
        twin = hashes[order][1:] == hashes[order][:-1]
        shared = np.zeros(len(hashes), np.bool_)
        shared[order[1:][twin]] = True
        shared[order[:-1][twin]] = True
        found: Int64s = position[shared]
        return found


def find_duplicates(seen: SeenIds, buckets: DayBuckets) -> Int64s:
    """Return the positions, sorted, of the rows in ``buckets`` whose transaction_id an earlier row has.

    Equal hashes only raise suspicion; the ids of the suspects themselves are then compared.
    """
    suspects = seen.suspects()
    if len(suspects) == 0:
        return suspects
    positions: list[Int64s] = []
    ids: list[str] = []
    for day in buckets.days():
        table = buckets.read(day)
        position = table.column("position").to_numpy()
        at = np.flatnonzero(np.isin(position, suspects))
        positions.append(position[at])
        ids.extend(table.column("transaction_id").take(pa.array(at)).to_pylist())
    position = np.concatenate(positions)
    order = np.argsort(position)
    repeated = pd.Series(ids, dtype="str").iloc[order].duplicated().to_numpy()
    duplicates: Int64s = position[order][repeated]
    return duplicates
