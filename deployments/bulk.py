"""What the bulk roads share: a request is decided in chunks, in order, so that each row sees those before it."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar
from urllib.parse import parse_qsl

from deployments.batcher import Share
from deployments.decision import Decisions, Earlier
from deployments.errors import HANDLED, UNEXPECTED, ErrorBody, describe
from deployments.hot_route import Answer
from deployments.responses import error_json
from deployments.settings import IngressSettings
from features.admission import Admitted
from features.errors import InvalidTransaction, RateLimited, TransactionConflict
from features.transaction import TransactionBatch

logger = logging.getLogger("ray.serve")

Value = TypeVar("Value")

ROWS_A_TURN: Final = 512
"""Rows that are checked before other requests have their turn: below a millisecond when they are good."""


class Decider(Protocol):
    """The graph behind the micro-batcher."""

    @property
    def max_chunk(self) -> int:
        """Rows that a chunk may hold at most."""

    async def decide(
        self, chunk: TransactionBatch, include_features: bool
    ) -> tuple[TransactionBatch, Decisions, Share]:
        """Return the batch that the chunk travelled in, its decisions, and which rows of it are the chunk's."""


@dataclass(frozen=True, slots=True)
class BulkRoad:
    """What every bulk road stands on.

    Attributes:
        decider: the graph.
        settings: gives the bounds in force.
        clock: seconds since the epoch, for the check of event times.
    """

    decider: Decider
    settings: Callable[[], IngressSettings]
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Admitted rows ``start`` to before ``stop``, and their decisions from row ``share.start`` of a batch on."""

    start: int
    stop: int
    decisions: Decisions
    share: Share

    def earlier(self) -> Iterator[tuple[int, Earlier]]:
        """Give the admitted rows of the chunk that were decided before."""
        return self._own(self.decisions.earlier)

    def conflicts(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Give the admitted rows of the chunk whose id stands for another body, and the fields that differ."""
        return self._own(self.decisions.conflicts)

    def _own(self, found: Mapping[int, Value]) -> Iterator[tuple[int, Value]]:
        for row, value in found.items():
            if self.share.start <= row < self.share.stop:
                yield self.start + row - self.share.start, value


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of all admitted rows of a request.

    Attributes:
        chunks: the decided ones, in order, from the first row on.
        decided: how many rows those are, conflicts included.
        failure: why the rows after them were not decided; None when there are none.
    """

    chunks: list[Chunk]
    decided: int
    failure: ErrorBody | None

    def conflicts(self) -> dict[int, tuple[str, ...]]:
        """Return the admitted rows whose id stands for another body; they were not decided."""
        return {at: fields for chunk in self.chunks for at, fields in chunk.conflicts()}


async def admit_in_turns(
    n: int, admit: Callable[[int, int], Admitted], rows_a_turn: int = ROWS_A_TURN
) -> Admitted:
    """Return what is admitted of n rows, checked a few at a time so that other requests go on meanwhile.

    Args:
        admit: checks the rows from one to before another.
    """
    starts = range(0, n, rows_a_turn)
    parts: list[Admitted] = []
    for start in starts:
        if start:
            await asyncio.sleep(0)
        parts.append(admit(start, min(start + rows_a_turn, n)))
    return Admitted.concat(parts, [min(rows_a_turn, n - start) for start in starts])


async def decide_all(decider: Decider, batch: TransactionBatch, include_features: bool) -> Outcome:
    """Return the decisions of a request.

    After a chunk that was not decided there is no next one: it would not see what it should, and would wait in
    vain.

    Raises:
        Exception: what the first chunk failed with; nothing was decided.
    """
    chunks: list[Chunk] = []
    decided = 0
    try:
        async for chunk in _decided(decider, batch, include_features):
            chunks.append(chunk)
            decided = chunk.stop
    except Exception as error:
        if not chunks:
            raise
        return Outcome(chunks, decided, described(error)[1])
    return Outcome(chunks, decided, None)


async def _decided(decider: Decider, batch: TransactionBatch, include_features: bool) -> AsyncIterator[Chunk]:
    start = 0
    while start < len(batch):
        # Read anew for each chunk: a new configuration may have come meanwhile.
        stop = min(start + decider.max_chunk, len(batch))
        _, decisions, share = await decider.decide(batch.slice(start, stop), include_features)
        yield Chunk(start, stop, decisions, share)
        start = stop


def described(error: Exception) -> tuple[int, ErrorBody]:
    """Return HTTP status and body of an error; a defect is logged."""
    if not isinstance(error, HANDLED):
        logger.error("an unexpected error; the request gets 500", exc_info=error)
        return 500, UNEXPECTED
    return describe(error)


def refusal(error: Exception) -> Answer:
    """Return the answer to a request of which nothing was decided."""
    status, body = described(error)
    extra: tuple[tuple[bytes, bytes], ...] = ()
    if isinstance(error, RateLimited):
        extra = ((b"retry-after", b"%d" % math.ceil(error.retry_after_s)),)
    return Answer(status, error_json(body), extra=extra)


def wants_features(query: bytes) -> bool:
    """Return whether a query string asks for the features.

    Raises:
        InvalidTransaction: it says anything else.
    """
    include = False
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else ():
        if name != "include":
            raise InvalidTransaction(f"query.{name[:64]}", "is not a parameter of this route")
        if value != "features":
            raise InvalidTransaction("query.include", "must be 'features'")
        include = True
    return include


def check_count(count: int, most: int, nothing: str) -> None:
    """Check the number of rows of a request.

    Raises:
        InvalidTransaction: there are none, which ``nothing`` says in words, or too many.
    """
    if count == 0:
        raise InvalidTransaction("body", nothing)
    if count > most:
        raise InvalidTransaction("body", f"must hold at most {most} transactions, not {count}")


def errors(admitted: Admitted, outcome: Outcome) -> dict[int, ErrorBody]:
    """Return the error of each row of a request that has no decision."""
    found = {row: describe(fault)[1] for row, fault in admitted.faults.items()}
    if outcome.failure is not None:
        found.update(dict.fromkeys(admitted.rows[outcome.decided :].tolist(), outcome.failure))
    for at, fields in outcome.conflicts().items():
        found[int(admitted.rows[at])] = describe(TransactionConflict(fields))[1]
    return found
