"""Rate limits: each request costs its key a transaction, and in bulk each row that is decided one more.

The count is kept in each ingress replica by itself, as one in the store would cost every payment a round trip.
HAProxy spreads requests over all replicas and tells with each how many there are
(:data:`deployments.access.request_head.SHARERS`), so that each admits its part of the rate.
"""

import math
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from deployments.access.bucket import TokenBucket
from deployments.access.keys import ApiKey, Rate
from deployments.batcher import Share
from deployments.bulk import Decider
from deployments.decision import Decisions
from features.errors import RateLimited
from features.transaction import TransactionBatch


class Meter:
    """What a key may send to this replica: all of its rate, until :meth:`share` tells of others.

    Args:
        key: one with a rate.
        clock: monotonic seconds.
    """

    def __init__(self, key: ApiKey, clock: Callable[[], float] = time.monotonic) -> None:
        assert key.rate is not None
        self._id = key.id
        self._rate = key.rate
        self._clock = clock
        self._sharers = 1
        self._bucket = TokenBucket(key.rate, clock())

    def holds(self, key: ApiKey) -> bool:
        """Return whether it counts by the key's rate, which may have changed."""
        if key.rate is self._rate:
            return True  # As always but after the file of the keys was read anew.
        if key.rate != self._rate or key.rate is None:
            return False
        self._rate = key.rate
        return True

    def share(self, sharers: int) -> None:
        """Admit one part of as many as there are replicas in the long run; after a pause as much at once as ever.

        So a bulk request that its key may send at once is not cut off because one replica answers all of it.
        """
        if sharers == self._sharers:
            return
        self._sharers = sharers
        rate = self._rate
        part = Rate.model_construct(per_s=rate.per_s / sharers, burst=rate.burst)
        self._bucket.change(part, self._clock())

    def pay(self, transactions: int) -> None:
        """Take transactions from what the key may send.

        Raises:
            RateLimited: nothing is left; nothing was taken.
        """
        missing_s = self._bucket.missing_s(self._clock())
        if missing_s:
            rate = self._rate
            raise RateLimited(
                f"the key {self._id} may send {rate.per_s:g} transactions a second,"
                f" {rate.burst:g} at once; retry after {math.ceil(missing_s)} s",
                missing_s,
            )
        self._bucket.pay(transactions)

    def give_back(self, transactions: int) -> None:
        """Put back what was paid for nothing."""
        self._bucket.give_back(transactions)


METER: Final[ContextVar[Meter | None]] = ContextVar("tollgate_meter", default=None)
"""Of the bulk request that is being answered; None where its rows cost nothing."""


def pay_rows(rows: int) -> None:
    """Pay for rows of the request that is being answered.

    Raises:
        RateLimited: its key may send no more for now.
    """
    meter = METER.get()
    if meter is not None:
        meter.pay(rows)


class MeteredDecider:
    """A graph whose callers pay for what they have decided.

    Args:
        decider: the graph.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider

    @property
    def max_chunk(self) -> int:
        """Rows that a chunk may hold at most."""
        return self._decider.max_chunk

    async def decide(
        self, chunk: TransactionBatch, include_features: bool
    ) -> tuple[TransactionBatch, Decisions, Share]:
        """Return the decisions of a chunk; one that is not decided costs nothing.

        Raises:
            RateLimited: the key may send no more for now; the chunk was not decided.
        """
        pay_rows(len(chunk))
        try:
            return await self._decider.decide(chunk, include_features)
        except BaseException:
            meter = METER.get()
            if meter is not None:
                meter.give_back(len(chunk))
            raise
