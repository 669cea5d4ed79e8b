"""POST /predict/batch with a JSON array: one parse, columns all the way, one text a row on the way out."""

import json
import logging
import re
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import from_json

from deployments.bulk import (
    BulkRoad,
    Outcome,
    admit_in_turns,
    check_count,
    decide_all,
    errors,
    refusal,
    wants_features,
)
from deployments.errors import HANDLED, NO_ARRAY, UNEXPECTED
from deployments.hot_route import Answer
from deployments.responses import error_json
from deployments.row_json import error_row, item_rows
from features.admission import Admitted
from features.json_rows import admit_json

logger = logging.getLogger("ray.serve")

_NO_TEXT: Final = re.compile("unicode code point|hex escape|surrogate")
"""What the parser says of a text that is not Unicode. It says other things of what is no JSON."""
_ARRAY: Final[TypeAdapter[list[Any]]] = TypeAdapter(list[Any])


class JsonBulk(BulkRoad):
    """Answers a JSON array, item by item in its order."""

    async def answer(self, body: bytes, query: bytes) -> Answer:
        """Return the answer to a request. Never raises.

        When the first chunk was not decided, its error answers the whole request; a later one leaves what was
        decided, and its error stands in each row after that.
        """
        try:
            include_features = wants_features(query)
            values = _items(body)
            check_count(len(values), self.settings().max_items, NO_ARRAY)
            now_ms = int(self.clock() * 1000)
            admitted = await admit_in_turns(
                len(values), lambda start, stop: admit_json(values[start:stop], now_ms)
            )
            outcome = await decide_all(self.decider, admitted.batch, include_features)
        except HANDLED as error:
            return refusal(error)
        except Exception:
            logger.exception("an unexpected error; the request gets 500")
            return Answer(500, error_json(UNEXPECTED))
        return Answer(200, _whole(admitted, outcome, include_features))


def _items(body: bytes) -> list[Any]:
    """Return the items of the array.

    Raises:
        ValidationError: the body is no JSON, or no array.
    """
    try:
        values = from_json(body)
    except ValueError as error:
        values = _leniently(body) if _NO_TEXT.search(str(error)) else None
    # The adapter says what is wrong, in the words of a single transaction.
    return values if isinstance(values, list) else _ARRAY.validate_json(body)


def _leniently(body: bytes) -> Any:
    """Return what a body says whose texts are not all Unicode, None where it is no JSON even so.

    Such texts come as bytes, which the contract refuses by their field; the other items are decided.
    """
    try:
        return json.loads(body.decode("utf-8", "surrogateescape"), object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name.encode("utf-8", "replace").decode(): _no_text(value) for name, value in pairs}


def _no_text(value: Any) -> Any:
    """Return bytes in place of a text with half of a surrogate pair, or with bytes of another encoding."""
    if not isinstance(value, str) or value.isascii():
        return value
    raw = value.encode("utf-8", "surrogatepass")
    return value if raw.decode("utf-8", "ignore") == value else raw


def _whole(admitted: Admitted, outcome: Outcome, include_features: bool) -> bytes:
    count = len(admitted.rows) + len(admitted.faults)
    rows = [""] * count
    for chunk in outcome.chunks:
        places = admitted.rows[chunk.start : chunk.stop].tolist()
        own = slice(chunk.start, chunk.stop)
        texts = item_rows(
            places, admitted.batch.transaction_id[own], admitted.assigned[own], chunk, include_features
        )
        for place, text in zip(places, texts, strict=True):
            rows[place] = text
    failed = errors(admitted, outcome)
    for place, body in failed.items():
        rows[place] = error_row(place, body)
    head = f'{{"decided":{count - len(failed)},"failed":{len(failed)},"results":['
    return f"{head}{','.join(rows)}]}}".encode()
