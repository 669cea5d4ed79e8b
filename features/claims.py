"""Claims: what a transaction_id stands for, so that a retry is known from another payment under the same id.

A claim is the whole body of a transaction in one canonical text, a JSON array of ``CLAIM_FIELDS``. The online
store keeps it under a key of the id for at least 24 hours; two bodies are the same exactly when their claims are
equal, and where they differ, the claims say in which field. A JSON text holds no raw line end, which is what
separates a claim from the decision that the key holds later (:mod:`deployments.ledger`).
"""

import json
from collections.abc import Sequence
from typing import Final

from pydantic_core import to_json

from features.transaction import TEXT_COLUMNS, TransactionBatch

CLAIM_PREFIX: Final = b"tg:t:"
"""What the key of a claim begins with; after it comes the transaction_id. An id means the same to every version of
the feature definitions, so they share its claim."""

NUMBER_COLUMNS: Final = ("event_time_ms", "amount_minor", "lat_udeg", "long_udeg")
CLAIM_FIELDS: Final = (*TEXT_COLUMNS, "timestamp", "amount", "lat", "long")
"""The fields of a claim, in its order, by the names that clients know them by."""


def claim_keys(batch: TransactionBatch) -> list[bytes]:
    """Return the key of each of n claims."""
    return [CLAIM_PREFIX + i.encode() for i in batch.transaction_id]


def claims(batch: TransactionBatch) -> list[bytes]:
    """Return the claim of each of n transactions."""
    columns = [_json_texts(getattr(batch, name)) for name in TEXT_COLUMNS]
    columns += [list(map(str, getattr(batch, name).tolist())) for name in NUMBER_COLUMNS]
    return [f"[{','.join(values)}]".encode() for values in zip(*columns, strict=True)]


def differences(claim: bytes, other: bytes) -> tuple[str, ...]:
    """Return the names of the fields in which two claims differ.

    >>> differences(b'["a",null,null,null,null,null,null,1,2,0,0]', b'["b",null,null,null,null,null,null,1,3,0,0]')
    ('customer_id', 'amount')
    """
    pairs = zip(CLAIM_FIELDS, json.loads(claim), json.loads(other), strict=True)
    return tuple(name for name, value, another in pairs if value != another)


def _json_texts(column: Sequence[str | None]) -> list[str]:
    """Return the JSON of each text: a whole column is serialised at once."""
    words = set(column)
    if len(words) == 1:
        return [to_json(column[0]).decode()] * len(column)
    whole = to_json(column)
    if b"\\" in whole or None in words:
        # Only a text with a quote, which is escaped, can hold what separates two texts.
        return [to_json(text).decode() for text in column]
    return [f'"{text}"' for text in whole[2:-2].decode().split('","')]
