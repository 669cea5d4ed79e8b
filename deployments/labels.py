"""POST /labels: one label or an array of them, checked, sent to the store in order, and answered one by one.

Labels go to the features deployment by Serve's handle, past the micro-batcher: they are few, and wait for nobody.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from deployments.bulk import described, refusal
from deployments.errors import HANDLED, UNEXPECTED, ErrorBody, describe, field_errors, invalid
from deployments.hot_route import Answer
from deployments.responses import error_json
from deployments.settings import IngressSettings
from features.admission import MAX_FIELDS
from features.errors import InvalidLabel, LabelConflict
from features.label import LABELS_A_CALL, Label, LabelBatch, LabelOutcome, check_label, is_out_of_reach

logger = logging.getLogger("ray.serve")

Take = Callable[[LabelBatch], Awaitable[list[LabelOutcome]]]
"""Gives labels to the store, at most ``LABELS_A_CALL``."""
Observer = Callable[[str, str, int], None]
"""Hears of outcome, source, and how many labels."""

NO_MERCHANT: Final = "without merchant_id it counts in no merchant's risk"
OUT_OF_REACH: Final = "older than any window reaches: it counts in no merchant's risk"
_CONFLICT: Final = (
    "an earlier label of this transaction names another merchant_id or another quarter of a day;"
    " nothing was changed"
)
_JSON: Final[TypeAdapter[Any]] = TypeAdapter(Any)


@dataclass(frozen=True, slots=True)
class _Fault:
    status: int
    body: ErrorBody


_Result = dict[str, Any] | _Fault


class LabelIntake:
    """Answers requests with labels.

    Args:
        take: the store.
        settings: the bounds in force.
        observe: counts what became of labels.
        clock: seconds since the epoch: the default of ``known_at``, and the check of dates.
    """

    def __init__(
        self,
        take: Take,
        settings: Callable[[], IngressSettings],
        observe: Observer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._take = take
        self._settings = settings
        self._observe = observe
        self._clock = clock

    async def answer(self, body: bytes, query: bytes) -> Answer:
        """Return the answer to a request. Never raises.

        When the store does not take the first labels, its error answers the whole request; later on it stands
        in each label that was not taken. Sending the same request again is safe.
        """
        try:
            _check_query(query)
            value = _parsed(body)
            results = await self._results(value if isinstance(value, list) else [value])
        except HANDLED as error:
            return refusal(error)
        except Exception:
            logger.exception("an unexpected error; the request gets 500")
            return Answer(500, error_json(UNEXPECTED))
        return _many(results) if isinstance(value, list) else _one(results[0])

    async def _results(self, values: list[Any]) -> list[_Result]:
        most = self._settings().max_items
        if not 1 <= len(values) <= most:
            raise InvalidLabel("body", f"must hold 1 to {most} labels, not {len(values)}")
        results: list[_Result] = []
        for at in range(0, len(values), LABELS_A_CALL):
            part = values[at : at + LABELS_A_CALL]
            try:
                results += await self._taken(part)
            except Exception as error:
                if not at:
                    raise
                fault = _Fault(*described(error))
                return results + [fault] * (len(values) - at)
        return results

    async def _taken(self, values: list[Any]) -> list[_Result]:
        now_ms = int(self._clock() * 1000)
        checked = [_checked(value, now_ms) for value in values]
        labels = [label for label in checked if isinstance(label, Label)]
        batch = LabelBatch.of(labels, now_ms)
        outcomes: list[LabelOutcome] = []
        if labels:
            async with asyncio.timeout(self._settings().bulk_deadline_ms / 1000):
                outcomes = await self._take(batch)
        for (outcome, source), count in Counter(
            zip(outcomes, (label.source for label in labels), strict=True)
        ).items():
            self._observe(outcome.name.lower(), source, count)
        taken = iter(_described(batch, outcomes))
        return [next(taken) if isinstance(label, Label) else label for label in checked]


def _check_query(query: bytes) -> None:
    for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        raise InvalidLabel(f"query.{name[:64]}", "is not a parameter of this route")


def _parsed(body: bytes) -> Any:
    """Return the value of a JSON body.

    Raises:
        ValidationError: the body is no JSON.
    """
    try:
        return from_json(body)
    except ValueError:
        return _JSON.validate_json(body)


def _checked(value: Any, now_ms: int) -> Label | _Fault:
    """Return one label, or what is wrong with it."""
    try:
        if isinstance(value, dict) and len(value) > MAX_FIELDS:
            raise InvalidLabel("body", f"has {len(value)} fields, which no label has")
        label = Label.model_validate(value)
        check_label(label, now_ms)
    except ValidationError as error:
        return _Fault(422, invalid(field_errors(error, "label"), "invalid_label"))
    except InvalidLabel as error:
        return _Fault(*describe(error))
    return label


def _described(batch: LabelBatch, outcomes: list[LabelOutcome]) -> list[_Result]:
    out_of_reach = is_out_of_reach(batch.event_time_ms, batch.known_ms).tolist()
    results: list[_Result] = []
    for row, outcome in enumerate(outcomes):
        if outcome is LabelOutcome.CONFLICT:
            results.append(_Fault(*describe(LabelConflict(_CONFLICT))))
            continue
        note = NO_MERCHANT if batch.merchant_id[row] is None else OUT_OF_REACH if out_of_reach[row] else None
        known_at = datetime.fromtimestamp(batch.known_ms.item(row) / 1000, UTC)
        results.append(
            {
                "transaction_id": batch.transaction_id[row],
                "outcome": outcome.name.lower(),
                "is_fraud": batch.is_fraud.item(row),
                "known_at": known_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "note": note,
            }
        )
    return results


def _one(result: _Result) -> Answer:
    if isinstance(result, _Fault):
        return Answer(result.status, error_json(result.body))
    return Answer(200, to_json(result))


def _many(results: list[_Result]) -> Answer:
    failed = sum(isinstance(result, _Fault) for result in results)
    rows = [
        {"index": index, "error": result.body.model_dump()}
        if isinstance(result, _Fault)
        else {"index": index, **result}
        for index, result in enumerate(results)
    ]
    return Answer(200, to_json({"taken": len(results) - failed, "failed": failed, "results": rows}))
