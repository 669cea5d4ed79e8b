"""One entry of the decision log: a micro-batch with all that its decisions came from, as bytes.

An entry is a header in JSON and a batch of columns in Arrow's format, without the schema, which is the same for
all. The columns hold what differs from row to row, the header what does not.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict

from deployments.decision import Decisions, Reason
from features.formulas import Matrix
from features.transaction import TransactionBatch

_TEXT: Final = pa.string()
_REASON: Final = pa.struct([("source", _TEXT), ("code", _TEXT), ("text", _TEXT)])
_TRANSACTION: Final = (
    ("transaction_id", _TEXT),
    ("event_time_ms", pa.int64()),
    ("amount_minor", pa.int64()),
    ("customer_id", _TEXT),
    ("merchant_id", _TEXT),
    ("device_id", _TEXT),
    ("lat_udeg", pa.int32()),
    ("long_udeg", pa.int32()),
    ("currency", _TEXT),
    ("merchant_category", _TEXT),
    ("transaction_type", _TEXT),
    ("geo_location", _TEXT),
)
SCHEMA: Final = pa.schema(
    [
        *_TRANSACTION,
        ("features", pa.list_(pa.float64())),
        ("lr", pa.float64()),
        ("xgb", pa.float64()),
        ("probability", pa.float64()),
        ("decision", pa.int8()),
        ("is_fraud", pa.bool_()),
        ("rules", pa.list_(_TEXT)),
        ("reasons", pa.list_(_REASON)),
    ]
)
"""Columns of an entry. Features lie in the order of the definitions that the header's fingerprint stands for."""

_LENGTH: Final = struct.Struct("<I")
_TEXTS: Final = tuple(name for name, kind in _TRANSACTION if kind == _TEXT)
_NO_RULES: Final = pa.array([], _TEXT)
_NO_REASONS: Final = pa.array([], _REASON)


class Header(BaseModel):
    """What holds for every row of an entry.

    Attributes:
        decided_at_ms: when, in milliseconds since the epoch.
        latency_ms: from the arrival of the batch's oldest transaction at the ingress to the record.
        lr_version, xgb_version: of the bundle that each model belongs to; "" where it did not answer.
        degraded: what was missing, by name.
        policy: digest of the policy (:mod:`deployments.ledger.policy`).
        fingerprint: of the feature definitions.
        has_history: whether the online store counted the batch; if not, whoever records the entry does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    decided_at_ms: int
    latency_ms: float
    lr_version: str
    xgb_version: str
    degraded: tuple[str, ...]
    policy: str
    fingerprint: str
    has_history: bool


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A decided micro-batch: header, transactions, feature matrix (n, features), decisions."""

    header: Header
    batch: TransactionBatch
    matrix: Matrix
    decisions: Decisions

    def to_bytes(self) -> bytes:
        """Return the entry as bytes."""
        header = self.header.model_dump_json().encode()
        columns = self._columns().serialize()
        return b"".join((_LENGTH.pack(len(header)), header, columns))

    def take(self, rows: Sequence[int]) -> "Entry":
        """Return an entry of the given rows alone, in the given order."""
        return Entry(self.header, self.batch.take(rows), self.matrix[rows], self.decisions.take(rows))

    def _columns(self) -> pa.RecordBatch:
        n, width = self.matrix.shape
        d = self.decisions
        texts = self._texts()
        arrays = [
            *(
                texts[name] if kind == _TEXT else pa.array(getattr(self.batch, name), kind)
                for name, kind in _TRANSACTION
            ),
            pa.ListArray.from_arrays(
                np.arange(0, (n + 1) * width, width, dtype=np.int32) if n else np.zeros(1, np.int32),
                pa.array(np.ascontiguousarray(self.matrix, np.float64).ravel()),
            ),
            *(pa.array(column) for column in (d.lr, d.xgb, d.probability, d.decision, d.is_fraud)),
            _lists(d.rules, _NO_RULES, n),
            _lists({row: list(map(_reason, found)) for row, found in d.reasons.items()}, _NO_REASONS, n),
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)

    def _texts(self) -> dict[str, pa.Array]:
        """Return the columns of text by name, converted all at once: of few rows it is the calls that cost."""
        n = len(self.batch)
        whole = pa.array([text for name in _TEXTS for text in getattr(self.batch, name)], _TEXT)
        return {name: whole.slice(at * n, n) for at, name in enumerate(_TEXTS)}


def _lists(rows: Mapping[int, Sequence[Any]], nothing: pa.Array, n: int) -> pa.Array:
    """Return a column of n lists: those of some rows, empty ones for the others.

    Args:
        nothing: values of the lists' type, of which there are none.
    """
    if not rows:
        return pa.ListArray.from_arrays(np.zeros(n + 1, np.int32), nothing)
    return pa.array([rows.get(row, ()) for row in range(n)], pa.list_(nothing.type))


def _reason(reason: Reason) -> dict[str, str]:
    return {"source": reason.source, "code": reason.code, "text": reason.text}


def parse(data: bytes) -> tuple[Header, pa.RecordBatch]:
    """Return header and columns of an entry."""
    [size] = _LENGTH.unpack_from(data)
    header = Header.model_validate_json(data[_LENGTH.size : _LENGTH.size + size])
    return header, pa.ipc.read_record_batch(pa.py_buffer(data)[_LENGTH.size + size :], SCHEMA)


def entry_of(header: Header, columns: pa.RecordBatch) -> Entry:
    """Return the entry of a header and its columns."""
    texts_or_numbers = {
        name: column.to_numpy(zero_copy_only=False) if pa.types.is_integer(kind) else column.to_pylist()
        for (name, kind), column in zip(_TRANSACTION, columns.columns, strict=False)
    }
    rules = {row: names for row, names in enumerate(columns.column("rules").to_pylist()) if names}
    reasons = {
        row: [Reason(**reason) for reason in found]
        for row, found in enumerate(columns.column("reasons").to_pylist())
        if found
    }
    lr, xgb, probability = (columns.column(name).to_numpy() for name in ("lr", "xgb", "probability"))
    decisions = Decisions(
        probability=probability,
        lr=lr,
        xgb=xgb,
        decision=columns.column("decision").to_numpy(),
        is_fraud=columns.column("is_fraud").to_numpy(zero_copy_only=False),
        rules=rules,
        model_version=model_version(header.lr_version, header.xgb_version),
        degraded=header.degraded,
        reasons=reasons,
    )
    return Entry(header, TransactionBatch(**texts_or_numbers), matrix_of(columns), decisions)


def matrix_of(columns: pa.RecordBatch | pa.Table) -> Matrix:
    """Return the feature matrix (n, features) of an entry's columns."""
    column = columns.column("features")
    values = (column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column).flatten()
    matrix: Matrix = values.to_numpy().reshape(len(column), -1) if len(column) else np.empty((0, 0))
    return matrix


def model_version(*versions: str) -> str:
    """Return what an answer names as its version: that of the bundle, or of both while two are in service."""
    return "+".join(sorted({version for version in versions if version}))
