"""From request bytes to answer bytes: validation, micro-batching, and the answer of each item."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from deployments.batcher import MicroBatcher, Observer, stays
from deployments.decision import Decisions
from deployments.errors import HANDLED, NO_ARRAY, UNEXPECTED, ErrorBody, describe
from deployments.hot_route import Answer, Gone
from deployments.responses import error_json, prediction
from deployments.settings import IngressSettings
from features.errors import InvalidTransaction
from features.transaction import Transaction, TransactionBatch, check_transaction

logger = logging.getLogger("ray.serve")

MAX_FIELDS: Final = 64
"""Fields of an object that is validated at all: a megabyte of unknown ones would take seconds."""
LARGE_BYTES: Final = 64 * 1024
"""Size from which a single transaction is looked at before it is validated; a good one has 200 bytes."""
LARGE_BATCH_BYTES: Final = 256 * 1024
"""Size from which a batch is validated item by item, as a faulty one is: more than 1,000 usual transactions."""
ITEMS_A_TURN: Final = 64
"""Items that are validated one by one before other requests have their turn."""

Decide = Callable[[TransactionBatch, bool], Awaitable[Decisions]]
"""From a batch, and whether its features are wanted, to its decisions."""

_Item = tuple[Sequence[Transaction], bool]
"""Transactions that travel together, and whether their features are wanted."""


class Scoring:
    """The service behind POST /predict and POST /predict/batch; knows neither ASGI nor Ray.

    Args:
        decide: the graph.
        settings: bounds; :meth:`reconfigure` changes them in place.
        observer: hears what the batcher does.
        clock: seconds since the epoch, for the check of event times.
    """

    def __init__(
        self,
        decide: Decide,
        settings: IngressSettings,
        observer: Observer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._decide = decide
        self._clock = clock
        self._settings = settings
        self._one: TypeAdapter[Transaction] = TypeAdapter(Transaction)
        self._many: TypeAdapter[list[Transaction]] = TypeAdapter(
            Annotated[list[Transaction], Field(fail_fast=True)]
        )
        self._batcher: MicroBatcher[_Item, tuple[TransactionBatch, Decisions]] = MicroBatcher(
            self._process, settings.batch, observer
        )

    @property
    def settings(self) -> IngressSettings:
        """The bounds in force."""
        return self._settings

    def reconfigure(self, settings: IngressSettings) -> None:
        """Take new bounds in place."""
        self._settings = settings
        self._batcher.reconfigure(settings.batch)

    async def predict(self, body: bytes, query: bytes, gone: Gone = stays) -> Answer:
        """Return the answer to POST /predict. Never raises."""
        try:
            include_features = query != b"" and _include_features(query)
            transaction = self._parse_one(body)
            check_transaction(transaction, int(self._clock() * 1000))
            (batch, decisions), share = await self._batcher.submit(
                ((transaction,), include_features), 1, self._settings.max_wait_ms / 1000, gone=gone
            )
            assigned = transaction.transaction_id is None
            return Answer(200, to_json(prediction(batch, decisions, share.start, assigned, include_features)))
        except HANDLED as error:
            return _refusal(*_described(error))
        except Exception:
            logger.exception("an unexpected error; the request gets 500")
            return _refusal(500, UNEXPECTED)

    async def predict_batch(self, body: bytes, query: bytes, gone: Gone = stays) -> Answer:
        """Return the answer to POST /predict/batch. Never raises.

        The items are decided in chunks, one chunk after the other, so that each sees those before it. After a
        chunk that was not decided there is no next one: it would not see what it should, and would wait in vain.
        When the first one was not decided, its error answers the whole request.
        """
        try:
            include_features = query != b"" and _include_features(query)
            results = self._checked(await self._parse_many(body))
            await self._decide_valid(results, include_features, gone)
        except HANDLED as error:
            return _refusal(*_described(error))
        except Exception:
            logger.exception("an unexpected error; the request gets 500")
            return _refusal(500, UNEXPECTED)
        rows = [_item(index, result) for index, result in enumerate(results)]
        failed = sum("error" in row for row in rows)
        return Answer(200, to_json({"decided": len(rows) - failed, "failed": failed, "results": rows}))

    def _parse_one(self, body: bytes) -> Transaction:
        if len(body) > LARGE_BYTES:
            _check_width(_json(body))
        return self._one.validate_json(body)

    async def _parse_many(self, body: bytes) -> list[Any]:
        """Return each item, or what is wrong with it; the good case is one pass in compiled code."""
        if len(body) <= LARGE_BATCH_BYTES:
            try:
                transactions = self._many.validate_json(body)
            except ValidationError:
                pass  # What is wrong, and with which items, is found out below.
            else:
                self._check_count(len(transactions))
                return transactions
        values = _json(body)
        if not isinstance(values, list):
            self._many.validate_json(body)  # Raises, and says what the body is instead.
        self._check_count(len(values))
        items: list[Any] = []
        for at in range(0, len(values), ITEMS_A_TURN):
            items += [self._transaction_or_error(value) for value in values[at : at + ITEMS_A_TURN]]
            await asyncio.sleep(0)
        return items

    def _check_count(self, count: int) -> None:
        if count == 0:
            raise InvalidTransaction("body", NO_ARRAY)
        if count > self._settings.max_items:
            raise InvalidTransaction(
                "body", f"must hold at most {self._settings.max_items} transactions, not {count}"
            )

    def _transaction_or_error(self, value: Any) -> Transaction | ErrorBody:
        try:
            _check_width(value)
            return self._one.validate_python(value)
        except (InvalidTransaction, ValidationError) as error:
            return describe(error)[1]

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

    async def _decide_valid(self, results: list[Any], include_features: bool, gone: Gone) -> None:
        """Replace each valid transaction by its answer; from the first chunk that fails on, by its error.

        Raises:
            Exception: what the first chunk failed with; nothing was decided.
        """
        valid = [index for index, item in enumerate(results) if isinstance(item, Transaction)]
        decided = 0
        while decided < len(valid):
            # Read anew for each chunk: a new configuration may have come meanwhile.
            chunk = valid[decided : decided + self._settings.batch.max_size]
            try:
                (batch, decisions), share = await self._batcher.submit(
                    ([results[index] for index in chunk], include_features),
                    len(chunk),
                    self._settings.max_wait_ms / 1000,
                    bulk=True,
                    gone=gone,
                )
            except Exception as error:
                if decided == 0:
                    raise
                described = _described(error)[1]
                for index in valid[decided:]:
                    results[index] = described
                return
            for row, index in zip(range(share.start, share.stop), chunk, strict=True):
                assigned = results[index].transaction_id is None
                results[index] = prediction(batch, decisions, row, assigned, include_features)
            decided += len(chunk)

    async def _process(self, items: list[_Item]) -> tuple[TransactionBatch, Decisions]:
        batch = TransactionBatch.of([transaction for transactions, _ in items for transaction in transactions])
        # A part that never answers must not hold a slot for ever.
        async with asyncio.timeout(self._settings.max_decide_ms / 1000):
            return batch, await self._decide(batch, any(include for _, include in items))


def _json(body: bytes) -> Any:
    """Return what a body says; None also where it is not JSON."""
    try:
        return from_json(body)
    except ValueError:
        return None


def _check_width(value: Any) -> None:
    if isinstance(value, dict) and len(value) > MAX_FIELDS:
        raise InvalidTransaction("body", f"has {len(value)} fields; a transaction has far fewer")


def _described(error: Exception) -> tuple[int, ErrorBody]:
    status, body = describe(error)
    if status >= 500 and body.code != "overloaded":
        logger.error("transactions were not decided", exc_info=error)
    return status, body


def _refusal(status: int, body: ErrorBody) -> Answer:
    return Answer(status, error_json(body))


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
