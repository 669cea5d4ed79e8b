"""How the API's document describes POST /predict/batch: three media types, one contract."""

import json
from typing import Any, Final

from deployments.arrow_schema import SCHEMA
from deployments.media_types import ARROW, NDJSON
from deployments.responses import EXAMPLE_BATCH_RESPONSE, EXAMPLE_REQUEST

_BINARY: Final = {"type": "string", "format": "binary"}

BULK_WORDS: Final = f"""\
Each row has its own result or its own error, in the order of the request, and sees the rows before it.

* JSON, under any content type but the two below: an array in, one object out.
* `{ARROW}`: a table in, a table out. Columns in: those of a transaction, by name; strings
  (plain or dictionary), numbers (float, integer, decimal), timestamp as timestamp, epoch seconds or ISO 8601
  strings; null is absent; no compression. Columns out: {", ".join(SCHEMA.names)};
  with `include=features` also a column a feature.
* `{NDJSON}`: an object a line in, an object a line out, while other lines still come; the body may
  have any length. Blank lines are passed over. A failure after the first answer stands in its rows."""

BULK_ANSWERS: Final[dict[str, Any]] = {
    "application/json": {"example": EXAMPLE_BATCH_RESPONSE},
    ARROW: {"schema": _BINARY},
    NDJSON: {
        "schema": {"type": "string"},
        "example": "\n".join(json.dumps(row) for row in EXAMPLE_BATCH_RESPONSE["results"]),
    },
}


def bulk_body(transaction: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of the request body.

    Args:
        transaction: the JSON schema of one.
    """
    contents = {
        "application/json": {"schema": {"type": "array", "items": transaction}, "example": [EXAMPLE_REQUEST]},
        ARROW: {"schema": _BINARY},
        NDJSON: {"schema": {"type": "string"}, "example": json.dumps(EXAMPLE_REQUEST) + "\n"},
    }
    return {"required": True, "content": contents}
