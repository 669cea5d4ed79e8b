"""The rows that ingestion sets aside: each with its place in the source, the field, its value and the reason."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from training.ingestion.checks import Faults
from training.ingestion.mapping import ColumnMapping
from training.ingestion.sources import SourceBatch

DUPLICATE: Final = "is the same as that of an earlier row"
EXAMPLES_PER_REASON: Final = 3
_MAX_VALUE: Final = 200
"""Characters of a value that are shown; the whole is in ``original`` or ``line``."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One row set aside: source file, position in it from 1, history field, value as text, and the reason."""

    file: str
    row: int
    field: str
    value: str | None
    reason: str


class Rejections:
    """Writes rejected rows to a Parquet file, which is created with the first of them, and counts them.

    Its columns are those of :class:`Rejection`; ``original``: the row's mapped source columns as text; and
    ``line``: the text of a line of CSV that is no row.

    Attributes:
        rows: how many there are.
        reasons: how many for each (field, reason).
        examples: the first few for each (field, reason).
    """

    def __init__(self, folder: Path, mapping: ColumnMapping) -> None:
        self.rows = 0
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.examples: list[Rejection] = []
        self._path = folder / "part-0.parquet"
        self._mapping = mapping
        original = pa.struct([(column, pa.string()) for column in mapping.source_columns])
        words = [(name, pa.string()) for name in ("field", "value", "reason")]
        self._schema = pa.schema(
            [("file", pa.string()), ("row", pa.int64()), *words, ("original", original), ("line", pa.string())]
        )
        self._writer: pq.ParquetWriter | None = None

    def add_faulty(self, batch: SourceBatch, faults: Faults) -> None:
        """Set aside the rows of a batch that have faults, and its malformed lines."""
        for code, (field, reason) in enumerate(faults.kinds, start=1):
            self._add(batch, np.flatnonzero(faults.code == code), field, reason)
        lines = batch.malformed
        if lines:
            text = pa.array([line.text for line in lines], pa.string())
            self._write(
                batch.file,
                pa.array([line.row for line in lines], pa.int64()),
                text,
                "line",
                [line.reason for line in lines],
                pa.nulls(len(lines), self._schema.field("original").type),
                text,
            )

    def add_duplicates(self, batch: SourceBatch, index: npt.NDArray[np.int64]) -> None:
        """Set aside the rows at an index (k,) of a batch, since an earlier row has their transaction_id."""
        self._add(batch, index, "transaction_id", DUPLICATE)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

    def _add(self, batch: SourceBatch, index: npt.NDArray[np.int64], field: str, reason: str) -> None:
        if len(index) == 0:
            return
        at = pa.array(index)
        nothing = pa.nulls(len(index), pa.string())
        cells = {
            column: _shown(batch.columns[column].take(at)) if column in batch.columns else nothing
            for column in self._mapping.source_columns
        }
        original = pa.StructArray.from_arrays(list(cells.values()), names=list(cells))
        value = cells.get(self._mapping.column(field) or "", nothing)
        self._write(
            batch.file, pa.array(batch.row).take(at), value, field, [reason] * len(index), original, nothing
        )

    def _write(
        self,
        file: str,
        row: pa.Array,
        value: pa.Array,
        field: str,
        reasons: list[str],
        original: pa.Array,
        line: pa.Array,
    ) -> None:
        n = len(row)
        value = pc.utf8_slice_codeunits(value, 0, _MAX_VALUE)
        columns = [pa.array([file] * n), row, pa.array([field] * n), value, pa.array(reasons), original, line]
        table = pa.table(columns, schema=self._schema)
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, self._schema)
        self._writer.write_table(table)
        self.rows += n
        for i, reason in enumerate(reasons):
            self.reasons[field, reason] += 1
            if self.reasons[field, reason] <= EXAMPLES_PER_REASON:
                self.examples.append(Rejection(file, row[i].as_py(), field, value[i].as_py(), reason))


def _shown(cells: pa.Array) -> pa.Array:
    """Return any cells as text; the bytes of a binary column in hexadecimal."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_binary(cells.type) or pa.types.is_large_binary(cells.type):
        return pa.array([None if cell is None else cell.hex() for cell in cells.to_pylist()], pa.string())
    if pa.types.is_nested(cells.type):
        return pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()], pa.string())
    return cells.cast(pa.string())
