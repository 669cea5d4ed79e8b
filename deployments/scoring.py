"""From request bytes to answer bytes, for one transaction; and the one queue in which all of them wait."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter
from pydantic_core import from_json, to_json

from deployments.batcher import MicroBatcher, Observer, Share, stays
from deployments.bulk import refusal, wants_features
from deployments.deadline import TimeLeft
from deployments.decision import Decisions
from deployments.errors import HANDLED, SAID, UNEXPECTED
from deployments.hot_route import Answer, Gone
from deployments.responses import error_json, prediction
from deployments.settings import IngressSettings
from features.admission import check_width
from features.errors import DeadlineExceeded, TransactionConflict
from features.transaction import Transaction, TransactionBatch, check_transaction

logger = logging.getLogger("ray.serve")

LARGE_BYTES: Final = 64 * 1024
"""Size from which a single transaction is looked at before it is validated; a good one has 200 bytes."""
LATE_S: Final = 0.5
"""How long past the earliest deadline of a batch the graph is waited for: it keeps to that, unless it hangs."""
MIN_LEFT_S: Final = 0.001
Decide = Callable[[TransactionBatch, bool, TimeLeft], Awaitable[Decisions]]
"""From a batch, whether its features are wanted, and its time left, to its decisions."""


class _Item(NamedTuple):
    """A single transaction or a chunk of a bulk request, and its times (of the loop)."""

    content: Transaction | TransactionBatch
    include_features: bool
    arrived: float
    deadline: float


class Scoring:
    """The service behind POST /predict, and the :class:`deployments.bulk.Decider` of the bulk roads.

    Knows neither ASGI nor Ray.

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
            include_features = query != b"" and wants_features(query)
            transaction = self._parse_one(body)
            check_transaction(transaction, int(self._clock() * 1000))
            item, max_wait_s = self._item(transaction, include_features, self._settings.deadline_ms)
            (batch, decisions), share = await self._batcher.submit(item, 1, max_wait_s, gone=gone)
            if fields := decisions.conflicts.get(share.start):
                raise TransactionConflict(fields)
            assigned = transaction.transaction_id is None
            return Answer(200, to_json(prediction(batch, decisions, share.start, assigned, include_features)))
        except HANDLED as error:
            return refusal(error)
        except Exception:
            logger.exception("an unexpected error; the request gets 500")
            return Answer(500, error_json(UNEXPECTED))

    @property
    def max_chunk(self) -> int:
        """Rows of a chunk at most. Large ones are cheap: the fixed cost of a batch on its five hops is shared."""
        return self._settings.batch.max_size

    async def decide(
        self, chunk: TransactionBatch, include_features: bool
    ) -> tuple[TransactionBatch, Decisions, Share]:
        """Return the decisions of a chunk of a bulk request, which waits for a slot like any transaction.

        Args:
            chunk: 1 to ``batch.max_size`` transactions.

        Raises:
            TollgateError, RayError, RayServeException, AioRpcError: it was not decided.
        """
        item, max_wait_s = self._item(chunk, include_features, self._settings.bulk_deadline_ms)
        (batch, decisions), share = await self._batcher.submit(item, len(chunk), max_wait_s, bulk=True)
        return batch, decisions, share

    def _parse_one(self, body: bytes) -> Transaction:
        if len(body) > LARGE_BYTES:
            check_width(_json(body))
        return self._one.validate_json(body)

    def _item(
        self, content: Transaction | TransactionBatch, include_features: bool, deadline_ms: int
    ) -> tuple[_Item, float]:
        """Return what waits in the queue, and how long it may: half of its time is for the graph."""
        now = asyncio.get_running_loop().time()
        item = _Item(content, include_features, now, now + deadline_ms / 1000)
        return item, min(self._settings.max_wait_ms, deadline_ms / 2) / 1000

    async def _process(self, items: list[_Item]) -> tuple[TransactionBatch, Decisions]:
        batch = _joined([item.content for item in items])
        now = asyncio.get_running_loop().time()
        time = TimeLeft(
            waited_s=now - min(item.arrived for item in items),
            left_s=max(min(item.deadline for item in items) - now, MIN_LEFT_S),
        )
        try:
            # The graph keeps to the earliest deadline. One that does not answer must hold no slot for ever, and a
            # payment not for as long as a bulk request in its batch may take.
            deadlines = [item.deadline for item in items]
            async with asyncio.timeout_at(min(max(deadlines), min(deadlines) + LATE_S)):
                return batch, await self._decide(batch, any(item.include_features for item in items), time)
        except TimeoutError as error:
            raise DeadlineExceeded("the decision was not made in time; retry after a pause") from error
        except SAID as error:
            # Once a batch: a line and a traceback for each of its transactions would cost more than deciding them.
            logger.error("a batch of %d transactions was not decided: %r", len(batch), error)
            raise


def _joined(contents: Sequence[Transaction | TransactionBatch]) -> TransactionBatch:
    """Return single transactions and chunks as one batch, in their order."""
    if len(contents) == 1 and isinstance(contents[0], TransactionBatch):
        return contents[0]
    parts: list[TransactionBatch] = []
    singles: list[Transaction] = []
    for content in contents:
        if isinstance(content, Transaction):
            singles.append(content)
        else:
            if singles:
                parts.append(TransactionBatch.of(singles))
                singles = []
            parts.append(content)
    if singles:
        parts.append(TransactionBatch.of(singles))
    return TransactionBatch.concat(parts)


def _json(body: bytes) -> Any:
    """Return what a body says; None also where it is not JSON."""
    try:
        return from_json(body)
    except ValueError:
        return None
