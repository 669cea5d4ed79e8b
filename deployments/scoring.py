"""From request bytes to answer bytes: validation, micro-batching, and the answer of each item."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError, WrapValidator
from pydantic_core import to_json

from deployments.batcher import MicroBatcher
from deployments.decision import Decisions
from deployments.errors import HANDLED, ErrorBody, describe, field_errors, invalid
from deployments.hot_route import Answer
from deployments.responses import error_json, prediction
from deployments.settings import IngressSettings
from features.errors import InvalidTransaction
from features.transaction import Transaction, TransactionBatch, check_transaction

logger = logging.getLogger("ray.serve")

_UNEXPECTED = ErrorBody(code="internal", message="an unexpected error; it is logged")

Decide = Callable[[TransactionBatch, bool], Awaitable[Decisions]]
"""From a batch, and whether its features are wanted, to its decisions."""

_Item = tuple[Transaction, bool]


def _or_error(value: Any, validate: Callable[[Any], Transaction]) -> Transaction | ErrorBody:
    try:
        return validate(value)
    except ValidationError as error:
        return invalid(field_errors(error))


class Scoring:
    """The service behind POST /predict and POST /predict/batch; knows neither ASGI nor Ray.

    Args:
        decide: the graph.
        settings: bounds; :meth:`reconfigure` changes them in place.
        clock: seconds since the epoch, for the check of event times.
    """

    def __init__(self, decide: Decide, settings: IngressSettings, clock: Callable[[], float] = time.time) -> None:
        self._decide = decide
        self._clock = clock
        self._settings = settings
        self._one: TypeAdapter[Transaction] = TypeAdapter(Transaction)
        self._many: TypeAdapter[list[Transaction]] = TypeAdapter(list[Transaction])
        self._each: TypeAdapter[list[Transaction | ErrorBody]] = TypeAdapter(
            list[Annotated[Transaction, WrapValidator(_or_error)]]  # type: ignore[arg-type]
        )
        self._batcher: MicroBatcher[_Item, tuple[TransactionBatch, Decisions]] = MicroBatcher(
            self._process, settings.batch
        )

    @property
    def settings(self) -> IngressSettings:
        """The bounds in force."""
        return self._settings

    def reconfigure(self, settings: IngressSettings) -> None:
        """Take new bounds in place."""
        self._settings = settings
        self._batcher.reconfigure(settings.batch)

    async def predict(self, body: bytes, query: bytes) -> Answer:
        """Return the answer to POST /predict. Never raises."""
        try:
            include_features = query != b"" and _include_features(query)
            transaction = self._one.validate_json(body)
            check_transaction(transaction, int(self._clock() * 1000))
            (batch, decisions), share = await self._batcher.submit(
                [(transaction, include_features)], self._settings.max_wait_ms / 1000
            )
            assigned = transaction.transaction_id is None
            return Answer(200, to_json(prediction(batch, decisions, share.start, assigned, include_features)))
        except HANDLED as error:
            status, described = describe(error)
            return Answer(status, error_json(described))
        except Exception:
            logger.exception("an unexpected error; the request gets 500")
            return Answer(500, error_json(_UNEXPECTED))

    async def predict_batch(self, body: bytes, query: bytes) -> Answer:
        """Return the answer to POST /predict/batch. Never raises.

        The items are decided in chunks, one chunk after the other, so that each sees those before it.
        """
        try:
            include_features = query != b"" and _include_features(query)
            results = self._checked(self._parse_many(body))
            await self._decide_valid(results, include_features)
        except HANDLED as error:
            status, described = describe(error)
            return Answer(status, error_json(described))
        except Exception:
            logger.exception("an unexpected error; the request gets 500")
            return Answer(500, error_json(_UNEXPECTED))
        rows = [_item(index, result) for index, result in enumerate(results)]
        failed = sum("error" in row for row in rows)
        return Answer(200, to_json({"decided": len(rows) - failed, "failed": failed, "results": rows}))

    def _parse_many(self, body: bytes) -> list[Transaction | ErrorBody]:
        """Return each item, or what is wrong with it; the good case is one pass in compiled code."""
        try:
            items: list[Any] = self._many.validate_json(body)
        except ValidationError as error:
            if error.errors(include_url=False, include_input=False)[0]["loc"] == ():
                raise
            items = self._each.validate_json(body)
        if not items:
            raise InvalidTransaction("body", "must be a JSON array of at least one transaction")
        if len(items) > self._settings.max_items:
            raise InvalidTransaction(
                "body", f"must hold at most {self._settings.max_items} transactions, not {len(items)}"
            )
        return items

    def _checked(self, items: list[Transaction | ErrorBody]) -> list[Any]:
        now_ms = int(self._clock() * 1000)
        checked: list[Transaction | ErrorBody] = []
        for item in items:
            try:
                if isinstance(item, Transaction):
                    check_transaction(item, now_ms)
                checked.append(item)
            except InvalidTransaction as error:
                checked.append(describe(error)[1])
        return checked

    async def _decide_valid(self, results: list[Any], include_features: bool) -> None:
        """Replace each valid transaction by its answer, or by the error of its chunk."""
        valid = [index for index, item in enumerate(results) if isinstance(item, Transaction)]
        size = self._settings.batch.max_size
        for at in range(0, len(valid), size):
            chunk = valid[at : at + size]
            try:
                (batch, decisions), share = await self._batcher.submit(
                    [(results[index], include_features) for index in chunk], self._settings.max_wait_ms / 1000
                )
            except HANDLED as error:
                described = describe(error)[1]
                for index in chunk:
                    results[index] = described
                continue
            for row, index in zip(range(share.start, share.stop), chunk, strict=True):
                assigned = results[index].transaction_id is None
                results[index] = prediction(batch, decisions, row, assigned, include_features)

    async def _process(self, items: list[_Item]) -> tuple[TransactionBatch, Decisions]:
        batch = TransactionBatch.of([transaction for transaction, _ in items])
        return batch, await self._decide(batch, any(include for _, include in items))


def _include_features(query: bytes) -> bool:
    include = False
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name != "include":
            raise InvalidTransaction(f"query.{name[:64]}", "is not a parameter of this route")
        if value != "features":
            raise InvalidTransaction("query.include", "must be 'features'")
        include = True
    return include


def _item(index: int, result: dict[str, Any] | ErrorBody) -> dict[str, Any]:
    if isinstance(result, ErrorBody):
        return {"index": index, "error": result.model_dump()}
    return {"index": index, **result}
