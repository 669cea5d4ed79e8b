"""Rates: what is decided is paid for, once."""

import pytest

from deployments.access.keys import Rate, Scope, new_key
from deployments.access.metering import METER, Meter, MeteredDecider
from deployments.batcher import Share
from deployments.decision import Decisions
from features.errors import Overloaded, RateLimited
from features.transaction import TransactionBatch
from tests.unit.deployments.transactions import batch_of


class Busy:
    """A graph that refuses."""

    max_chunk = 10

    async def decide(
        self, chunk: TransactionBatch, include_features: bool
    ) -> tuple[TransactionBatch, Decisions, Share]:
        """Refuse."""
        raise Overloaded(f"{len(chunk)} too many, {include_features=}")


async def test_what_is_not_decided_costs_nothing() -> None:
    now_s = 0.0
    meter = Meter(new_key([Scope.SCORE], rate=Rate(per_s=1, burst=3))[0], clock=lambda: now_s)
    token = METER.set(meter)
    try:
        for _ in range(5):
            with pytest.raises(Overloaded):
                await MeteredDecider(Busy()).decide(batch_of(10), False)
    finally:
        METER.reset(token)
    for _ in range(3):
        meter.pay(1)
    with pytest.raises(RateLimited):
        meter.pay(1)
    now_s = 1.0
    meter.pay(1)
