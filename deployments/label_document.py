"""How the API's document describes POST /labels: one label or many, and what becomes of each."""

from typing import Any, Final, Literal

from pydantic import BaseModel

from deployments.responses import EXAMPLE_REQUEST, ItemError
from features.label import Label

LABEL_WORDS: Final = """\
What became known of transactions: chargebacks, and the verdicts of analysts. One object, or an array of them; each
has its own result or its own error, in the order of the request.

* A label counts in the merchant's risk features from `known_at` on, once the delayed windows reach the time of its
  transaction; never before. It may come before its transaction.
* Posting it again changes nothing, so a request without an answer can simply be sent again.
* A later label of the same transaction (by `known_at`) takes the place of the earlier one: `is_fraud: false` takes
  a fraud out again. `merchant_id` and `timestamp` are those of the transaction, and the same in all its labels.
* Leave `known_at` out unless you replay history: the service knows a label from the moment at which it comes.

`outcome`: `new`, `repeated` (that verdict stands already), `corrected` (it replaces the opposite verdict),
`superseded` (a label that is known later stands; nothing was changed)."""


class LabelResult(BaseModel):
    """What became of one label."""

    transaction_id: str
    outcome: Literal["new", "repeated", "corrected", "superseded"]
    is_fraud: bool
    known_at: str
    note: str | None
    """Why it counts in no window, if it does not."""


class ItemLabelResult(LabelResult):
    """What became of one label of an array."""

    index: int


class LabelsResponse(BaseModel):
    """Answer to an array of labels, in its order."""

    taken: int
    failed: int
    results: list[ItemLabelResult | ItemError]


EXAMPLE_LABEL: Final[dict[str, Any]] = {
    "transaction_id": EXAMPLE_REQUEST["transaction_id"],
    "timestamp": EXAMPLE_REQUEST["timestamp"],
    "merchant_id": EXAMPLE_REQUEST["merchant_id"],
    "is_fraud": True,
    "source": "chargeback",
}
EXAMPLE_CORRECTION: Final[dict[str, Any]] = {
    **EXAMPLE_LABEL,
    "is_fraud": False,
    "source": "analyst",
    "known_at": "2026-03-20T09:00:00Z",
}
EXAMPLE_LABEL_RESULT: Final[dict[str, Any]] = {
    "transaction_id": EXAMPLE_LABEL["transaction_id"],
    "outcome": "new",
    "is_fraud": True,
    "known_at": "2026-02-20T08:15:00.000Z",
    "note": None,
}
EXAMPLE_LABELS_RESPONSE: Final[dict[str, Any]] = {
    "taken": 1,
    "failed": 1,
    "results": [
        {"index": 0, **EXAMPLE_LABEL_RESULT},
        {
            "index": 1,
            "error": {
                "code": "invalid_label",
                "message": "is_fraud: is required",
                "details": [{"field": "is_fraud", "message": "is required"}],
            },
        },
    ],
}

LABEL_ANSWERS: Final[dict[str, Any]] = {
    "application/json": {
        "examples": {
            "one": {"summary": "To one label", "value": EXAMPLE_LABEL_RESULT},
            "many": {"summary": "To an array", "value": EXAMPLE_LABELS_RESPONSE},
        }
    }
}


def label_body() -> dict[str, Any]:
    """Return the OpenAPI description of the request body."""
    one = Label.model_json_schema()
    examples = {
        "one": {"summary": "A chargeback", "value": EXAMPLE_LABEL},
        "correction": {"summary": "An analyst takes it back", "value": EXAMPLE_CORRECTION},
        "many": {"summary": "An array", "value": [EXAMPLE_LABEL]},
    }
    schema = {"anyOf": [one, {"type": "array", "items": one}]}
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
