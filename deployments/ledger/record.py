"""One entry of the decision log: a micro-batch with all that its decisions came from, as bytes.

An entry is a header, which says what holds for every row, and columns, which say what differs from row to row:
those of text, rules and reasons as one JSON array, those of numbers as they lie in memory. Arrow's own format is
slower to write, and longer, when rows are few, as they are in most batches (docs/adr/0013-decision-log.md).
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json, to_json

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
"""Columns of entries. Features lie in the order of the definitions that the header's fingerprint names."""

_SIZES: Final = struct.Struct("<4sIII")
"""What an entry begins with: its format, bytes of the header, bytes of the texts, rows."""
_FORMAT: Final = b"tg-2"
_LENGTH: Final = struct.Struct("<I")
"""What an entry began with before: bytes of the header. As text they would be a header of 800 MB."""
_TEXTS: Final = tuple(name for name, kind in _TRANSACTION if kind == _TEXT)
_NUMBERS: Final = tuple(
    (name, np.dtype(kind.to_pandas_dtype()).newbyteorder("<")) for name, kind in _TRANSACTION if kind != _TEXT
)
_SCORES: Final = (
    *((name, np.dtype("<f8")) for name in ("lr", "xgb", "probability")),
    ("decision", np.dtype("i1")),
    ("is_fraud", np.dtype("?")),
)
_FEATURE: Final = np.dtype("<f8")


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
        columns = [getattr(self.batch, name) for name in _TEXTS]
        texts = to_json([*columns, self.decisions.rules, self.decisions.reasons])
        numbers = [getattr(self.batch, name).astype(kind, copy=False).tobytes() for name, kind in _NUMBERS]
        numbers += [getattr(self.decisions, name).astype(kind, copy=False).tobytes() for name, kind in _SCORES]
        features = self.matrix.astype(_FEATURE, copy=False).tobytes()
        return b"".join(
            (_SIZES.pack(_FORMAT, len(header), len(texts), len(self.batch)), header, texts, *numbers, features)
        )

    def take(self, rows: Sequence[int]) -> "Entry":
        """Return an entry of the given rows alone, in the given order."""
        return Entry(self.header, self.batch.take(rows), self.matrix[rows], self.decisions.take(rows))


@dataclass(frozen=True, slots=True, eq=False)
class Written:
    """An entry of n rows as its bytes say it.

    Attributes:
        texts: columns (n) of text, in the order of the schema.
        numbers: columns (n,) of numbers, by name.
        features: (n, features).
        rules, reasons: of the rows that have any, by their number as text, for JSON knows no other keys.
    """

    header: Header
    texts: list[list[str | None]]
    numbers: dict[str, npt.NDArray[Any]]
    features: Matrix
    rules: dict[str, list[str]]
    reasons: dict[str, list[dict[str, str]]]

    def __len__(self) -> int:
        return len(self.features)

    @classmethod
    def parse(cls, data: bytes) -> "Written":
        """Return what the bytes of an entry say, also in the format that entries had before."""
        if not data.startswith(_FORMAT):
            return cls._of_arrow(data)
        _, header_bytes, text_bytes, n = _SIZES.unpack_from(data)
        texts_at = _SIZES.size + header_bytes
        at = texts_at + text_bytes
        header = Header.model_validate_json(data[_SIZES.size : texts_at])
        *texts, rules, reasons = from_json(data[texts_at:at])
        numbers: dict[str, npt.NDArray[Any]] = {}
        for name, kind in (*_NUMBERS, *_SCORES):
            numbers[name] = np.frombuffer(data, kind, n, at)
            at += n * kind.itemsize
        features = np.frombuffer(data, _FEATURE, offset=at).reshape(n, -1) if n else np.empty((0, 0))
        return cls(header, texts, numbers, features, rules, reasons)

    @classmethod
    def _of_arrow(cls, data: bytes) -> "Written":
        """Return an entry whose columns are in Arrow's format, as they were in logs that wait for their drain."""
        [header_bytes] = _LENGTH.unpack_from(data)
        columns_at = _LENGTH.size + header_bytes
        header = Header.model_validate_json(data[_LENGTH.size : columns_at])
        columns = pa.ipc.read_record_batch(pa.py_buffer(data)[columns_at:], SCHEMA)
        lists = {
            name: {str(row): found for row, found in enumerate(columns.column(name).to_pylist()) if found}
            for name in ("rules", "reasons")
        }
        return cls(
            header,
            [columns.column(name).to_pylist() for name in _TEXTS],
            {name: columns.column(name).to_numpy(zero_copy_only=False) for name, _ in (*_NUMBERS, *_SCORES)},
            matrix_of(columns),
            lists["rules"],
            lists["reasons"],
        )


def columns_of(entries: Sequence[Written]) -> pa.RecordBatch:
    """Return the rows of entries, one after the other, as :data:`SCHEMA` has them."""
    columns: dict[str, Any] = {
        name: list(chain.from_iterable(entry.texts[at] for entry in entries)) for at, name in enumerate(_TEXTS)
    }
    for name, _ in (*_NUMBERS, *_SCORES):
        columns[name] = np.concatenate([entry.numbers[name] for entry in entries])
    lengths = [len(entry) for entry in entries]
    widths = np.repeat([entry.features.shape[1] for entry in entries], lengths)
    columns["features"] = pa.ListArray.from_arrays(
        np.concatenate((np.zeros(1, np.int32), widths.cumsum(dtype=np.int32))),
        np.concatenate([entry.features.ravel() for entry in entries]),
    )
    starts = np.cumsum([0, *lengths]).tolist()
    for name in ("rules", "reasons"):
        columns[name] = [()] * starts[-1]
        for entry, start in zip(entries, starts, strict=False):
            for row, values in getattr(entry, name).items():
                columns[name][start + int(row)] = values
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA
    )


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
