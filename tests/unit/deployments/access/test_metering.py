"""Rates: what is decided is paid for, once."""

import pytest

from deployments.access.keys import Rate, Scope, new_key
from deployments.access.metering import METER, Meter, MeteredDecider
from deployments.batcher import Share
from deployments.decision import Decisions
from features.errors import Overloaded, RateLimited
from features.transaction import TransactionBatch
from tests.unit.deployments.transactions import batch_of


def test_replicas_admit_their_part_of_a_rate_and_together_all_of_it() -> None:
    now_s = 0.0
    key = new_key([Scope.SCORE], rate=Rate(per_s=8, burst=8))[0]
    meters = [Meter(key, clock=lambda: now_s) for _ in range(4)]
    for meter in meters:
        meter.share(4)
        assert admitted(meter) == 8, "each the whole burst"
    now_s = 1.0
    assert sum(admitted(meter) for meter in meters) == 8
    now_s = 2.0
    for meter in meters[:2]:  # Two have gone.
        meter.share(2)
    assert sum(admitted(meter) for meter in meters[:2]) == 4, "what was missing before they went stays missing"
    now_s = 3.0
    assert sum(admitted(meter) for meter in meters[:2]) == 8


def test_a_refusal_tells_the_rate_of_the_key_and_the_pause_of_the_part() -> None:
    now_s = 0.0
    meter = Meter(new_key([Scope.SCORE], rate=Rate(per_s=1, burst=2))[0], clock=lambda: now_s)
    meter.share(10)
    assert admitted(meter) == 2
    with pytest.raises(RateLimited, match="may send 1 transactions a second, 2 at once; retry after 10 s"):
        meter.pay(1)
    now_s = 10.0
    assert admitted(meter) == 1


def admitted(meter: Meter) -> int:
    """Return how many transactions a meter lets in now."""
    for number in range(100):
        try:
            meter.pay(1)
        except RateLimited:
            return number
    raise AssertionError("no bound")


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
