"""The answer to an Arrow request, as columns: one row a row of the request, decisions and errors side by side."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from deployments.arrow_schema import FEATURES_SCHEMA, REASON, SCHEMA
from deployments.bulk import Chunk, Outcome
from deployments.decision import DECISION_NAMES, Decisions, Earlier
from deployments.errors import ErrorBody
from features.admission import Admitted
from features.definitions import FEATURE_NAMES
from features.transaction import Int64s

_OF_ALL_ROWS: Final = frozenset({"index", "error_code", "error_field", "error_message"})


def answer_batch(
    admitted: Admitted, outcome: Outcome, errors: Mapping[int, ErrorBody], include_features: bool
) -> pa.RecordBatch:
    """Return the answer to n rows.

    Args:
        errors: row -> why it was not decided; of all rows that were not.
    """
    n = len(admitted.rows) + len(admitted.faults)
    decided = outcome.decided
    spread = _Spread(admitted.rows[:decided], n, outcome.chunks)
    columns = [
        pa.array(np.arange(n)),
        spread.texts(admitted.batch.transaction_id[:decided]),
        pa.array(spread.objects(admitted.assigned[:decided]), pa.bool_()),
        spread.words(lambda d: d.decision, DECISION_NAMES),
        spread.words(lambda d: d.is_fraud, ("LEGIT", "FRAUD")),
        spread.numbers(lambda d: d.probability),
        spread.numbers(lambda d: d.lr),
        spread.numbers(lambda d: d.xgb),
        spread.lists(lambda d: d.rules, pa.string()),
        spread.lists(_reasons, REASON),
        spread.constants(lambda d: d.model_version, pa.string()),
        spread.constants(lambda d: list(d.degraded), pa.list_(pa.string())),
        pa.array(spread.objects(spread.duplicates())),
        *_errors(errors, n),
    ]
    schema = SCHEMA
    if include_features:
        columns += spread.features()
        schema = FEATURES_SCHEMA
    if conflicts := outcome.conflicts():
        rows = {int(admitted.rows[at]) for at in conflicts}
        columns = [
            column if name in _OF_ALL_ROWS else _without(column, rows)
            for name, column in zip(schema.names, columns, strict=True)
        ]
    return pa.record_batch(columns, schema=schema)


def _without(column: pa.Array, rows: set[int]) -> pa.Array:
    """Return a column with null in some rows: those whose id stands for another body hold no decision."""
    return column.take(pa.array([None if row in rows else row for row in range(len(column))], pa.int64()))


def to_stream(batch: pa.RecordBatch) -> bytes:
    """Return a batch as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


class _Spread:
    """Lays values of the decided rows, which come chunk by chunk, out over all n rows of the answer.

    Args:
        rows: (m,) the decided rows, ascending.
    """

    def __init__(self, rows: Int64s, n: int, chunks: Sequence[Chunk]) -> None:
        self._rows = rows
        self._n = n
        self._chunks = chunks
        self._whole = len(rows) == n
        self._missing = np.ones(n, np.bool_)
        self._missing[rows] = False

    def objects(self, values: list[Any]) -> list[Any]:
        """Return m values with None between them."""
        if self._whole:
            return values
        spread: npt.NDArray[np.object_] = np.full(self._n, None, object)
        spread[self._rows] = values
        return list(spread)

    def texts(self, values: list[str]) -> pa.Array:
        return pa.array(self.objects(values), pa.string())

    def numbers(self, column: Callable[[Decisions], npt.NDArray[np.float64]]) -> pa.Array:
        """Return a column of the decisions; null where it is NaN, as no model answered."""
        numbers = np.full(self._n, np.nan)
        numbers[self._rows] = self._joined(column)
        return pa.array(numbers, mask=np.isnan(numbers))

    def words(self, column: Callable[[Decisions], npt.NDArray[Any]], words: Sequence[str]) -> pa.Array:
        """Return a column of the decisions that holds places in a list of words."""
        places = np.zeros(self._n, np.int8)
        places[self._rows] = self._joined(column)
        indices = pa.array(places, mask=None if self._whole else self._missing)
        return pa.DictionaryArray.from_arrays(indices, pa.array(words, pa.string()))

    def lists(self, of_rows: Callable[[Decisions], Mapping[int, list[Any]]], kind: pa.DataType) -> pa.Array:
        """Return lists that few rows have; the others of the decided rows get an empty one."""
        found: dict[int, list[Any]] = {}
        for chunk in self._chunks:
            first = chunk.start - chunk.share.start
            for row, values in of_rows(chunk.decisions).items():
                if chunk.share.start <= row < chunk.share.stop:
                    found[int(self._rows[first + row])] = values
        counts = np.zeros(self._n + 1, np.int32)
        for row, values in found.items():
            counts[row + 1] = len(values)
        flat = pa.array([value for row in sorted(found) for value in found[row]], kind)
        mask = None if self._whole else pa.array(self._missing)
        return pa.ListArray.from_arrays(pa.array(np.cumsum(counts, dtype=np.int32)), flat, mask=mask)

    def constants(self, value: Callable[[Decisions | Earlier], Any], kind: pa.DataType) -> pa.Array:
        """Return a column of what all rows of a chunk share, but for those that were decided before."""
        values: list[Any] = [None]
        places = np.zeros(self._n, np.int32)
        for chunk in self._chunks:
            values.append(value(chunk.decisions))
            places[self._rows[chunk.start : chunk.stop]] = len(values) - 1
            for at, earlier in chunk.earlier():
                values.append(value(earlier))
                places[self._rows[at]] = len(values) - 1
        return pa.array(values, kind).take(pa.array(places))

    def duplicates(self) -> list[bool]:
        """Return of each of the decided rows whether it was decided before."""
        found = [False] * len(self._rows)
        for chunk in self._chunks:
            for at, _ in chunk.earlier():
                found[at] = True
        return found

    def features(self) -> list[pa.Array]:
        matrix = np.full((self._n, len(FEATURE_NAMES)), np.nan)
        if self._chunks:
            matrix[self._rows] = self._joined(lambda decisions: decisions.features)
        mask = None if self._whole else self._missing
        return [pa.array(np.ascontiguousarray(column), mask=mask) for column in matrix.T]

    def _joined(self, column: Callable[[Decisions], Any]) -> npt.NDArray[Any]:
        if not self._chunks:
            return np.zeros(0)
        parts = [column(chunk.decisions)[chunk.share.start : chunk.share.stop] for chunk in self._chunks]
        return np.concatenate(parts)


def _reasons(decisions: Decisions) -> dict[int, list[Any]]:
    return {
        row: [{"source": reason.source, "code": reason.code, "text": reason.text} for reason in reasons]
        for row, reasons in decisions.reasons.items()
    }


def _errors(errors: Mapping[int, ErrorBody], n: int) -> list[pa.Array]:
    """Return code, field and message of the rows that were not decided; of several faults the first field."""
    if not errors:
        return [pa.nulls(n, pa.string())] * 3
    bodies = [errors.get(row) for row in range(n)]
    return [
        pa.array([body and body.code for body in bodies], pa.string()),
        pa.array([body.details[0].field if body and body.details else None for body in bodies], pa.string()),
        pa.array([body and body.message for body in bodies], pa.string()),
    ]
