"""What the Arrow road answers with: its columns. Clients read them from here, too; so no Ray."""

from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]

from features.definitions import FEATURE_NAMES

WORD: Final = pa.dictionary(pa.int8(), pa.string())
REASON: Final = pa.struct([("source", pa.string()), ("code", pa.string()), ("text", pa.string())])

SCHEMA: Final = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        ("transaction_id", pa.string()),
        ("transaction_id_assigned", pa.bool_()),
        ("decision", WORD),
        ("prediction", WORD),
        ("fraud_probability", pa.float64()),
        ("lr", pa.float64()),
        ("xgb", pa.float64()),
        ("rules", pa.list_(pa.string())),
        ("explanation", pa.list_(REASON)),
        ("model_version", pa.string()),
        ("degraded", pa.list_(pa.string())),
        ("duplicate", pa.bool_()),
        ("error_code", pa.string()),
        ("error_field", pa.string()),
        ("error_message", pa.string()),
    ]
)
"""Columns of the answer. A row that was decided has no ``error_*``, any other nothing but those and its index."""
FEATURES_SCHEMA: Final = pa.schema([*SCHEMA, *((name, pa.float64()) for name in FEATURE_NAMES)])
"""The same with ``?include=features``: the feature vector, a column a feature. ``amount`` is one of them."""
