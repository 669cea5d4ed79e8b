"""What the logs in the store hold, and the columns that their archives have: decisions, and labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
from pydantic_core import from_json

from deployments.ledger.ledger import LOG_KEY
from deployments.ledger.record import SCHEMA, Written, columns_of
from deployments.ledger.stream import StoredEntry
from features.label import LABEL_LOG_KEY

_PLACE: Final = (("entry", pa.string()), ("row", pa.int32()))
"""Where a row was in the log: id of its entry, and number within it; null in files of earlier releases."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a log holds.

    Attributes:
        name: in the plural.
        key: of the stream.
        schema: columns of the archive.
        time: the column that says when.
        references: columns of digests; the store knows what they stand for.
        rows_of: returns as rows what entries say that was fresh then.
    """

    name: str
    key: bytes
    schema: pa.Schema
    time: str
    references: tuple[str, ...]
    rows_of: Callable[[Sequence[StoredEntry]], pa.Table]


_DECISION_ROWS: Final = pa.schema(
    [
        *SCHEMA,
        *_PLACE,
        ("decided_at_ms", pa.int64()),
        ("latency_ms", pa.float64()),
        ("lr_version", pa.string()),
        ("xgb_version", pa.string()),
        ("degraded", pa.list_(pa.string())),
        ("policy", pa.string()),
        ("fingerprint", pa.string()),
        ("has_history", pa.bool_()),
    ]
)
"""Columns of an entry, its place, and its header."""
_SHARED: Final = [field for field in _DECISION_ROWS if field.name not in (*SCHEMA.names, "row")]
_LABEL: Final = (
    ("transaction_id", pa.string()),
    ("merchant_id", pa.string()),
    ("event_time_ms", pa.int64()),
    ("known_ms", pa.int64()),
    ("is_fraud", pa.bool_()),
    ("source", pa.string()),
)
"""What an entry of labels says; more, of a later release that shares the store, is left out."""
_LABEL_ROWS: Final = pa.schema([*_LABEL, *_PLACE, ("taken_at_ms", pa.int64())])


def _decisions(stored: Sequence[StoredEntry]) -> pa.Table:
    """Return the rows of entries that were decided by them."""
    entries = [Written.parse(one.data) for one in stored]
    columns = {field.name: column for field, column in zip(SCHEMA, columns_of(entries).columns, strict=True)}
    index, columns["row"] = _places([len(entry) for entry in entries])
    headers = [
        {**entry.header.model_dump(), "entry": str(one.id)} for one, entry in zip(stored, entries, strict=True)
    ]
    for field in _SHARED:
        columns[field.name] = pa.array([header[field.name] for header in headers], field.type).take(index)
    return _fresh(stored, columns, _DECISION_ROWS)


def _labels(stored: Sequence[StoredEntry]) -> pa.Table:
    """Return the labels of entries that changed a verdict."""
    entries = [from_json(one.data) for one in stored]
    columns: dict[str, Any] = {
        name: pa.array(list(chain.from_iterable(entry[name] for entry in entries)), kind) for name, kind in _LABEL
    }
    index, columns["row"] = _places([len(one.fresh) for one in stored])
    columns["entry"] = pa.array([str(one.id) for one in stored]).take(index)
    columns["taken_at_ms"] = pa.array([one.id.time_ms for one in stored], pa.int64()).take(index)
    return _fresh(stored, columns, _LABEL_ROWS)


def _places(lengths: Sequence[int]) -> tuple[pa.Array, pa.Array]:
    """Return the number of its entry for each row, and that of each row within its entry."""
    rows = [np.arange(length, dtype=np.int32) for length in lengths]
    return pa.array(np.repeat(np.arange(len(lengths)), lengths)), pa.array(np.concatenate(rows))


def _fresh(stored: Sequence[StoredEntry], columns: dict[str, Any], schema: pa.Schema) -> pa.Table:
    rows = pa.table({name: columns[name] for name in schema.names}, schema)
    return rows.filter(pa.array(np.concatenate([one.fresh for one in stored])))


DECISIONS: Final = Kind(
    "decisions", LOG_KEY, _DECISION_ROWS, "decided_at_ms", ("policy", "fingerprint"), _decisions
)
LABELS: Final = Kind("labels", LABEL_LOG_KEY, _LABEL_ROWS, "taken_at_ms", (), _labels)
