"""Stand-ins around the micro-batcher: what computes its batches, and what observes it.

An item is a group of numbers, and weighs as many transactions. The result of a batch are its numbers in a row,
so that each caller can tell the own share.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deployments.batcher import MicroBatcher, Observer, Share, stays
from deployments.settings import BatchSettings

LONG_S = 1000.0
Group = Sequence[int]
Numbers = list[int]
Batcher = MicroBatcher[Group, Numbers]
Call = asyncio.Task[tuple[Numbers, Share]]


@dataclass
class Processor:
    """Computes nothing; holds each batch until the test lets it go.

    Attributes:
        begun: the numbers of each batch, in order.
        gates: one a batch, which waits for it.
        most_at_once: batches that were under way together.
    """

    begun: list[Numbers] = field(default_factory=list)
    gates: list["asyncio.Future[None]"] = field(default_factory=list)
    most_at_once: int = 0
    under_way: int = 0

    async def __call__(self, items: list[Group]) -> Numbers:
        numbers = [number for group in items for number in group]
        self.begun.append(numbers)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        try:
            await gate
        finally:
            self.under_way -= 1
        return numbers

    async def release(self, batch: int, error: Exception | None = None) -> None:
        """Let the batch with this number end, and give what follows from it time to happen."""
        if error is None:
            self.gates[batch].set_result(None)
        else:
            self.gates[batch].set_exception(error)
        await settle()

    def held(self) -> list[int]:
        """Return the numbers of the batches that are under way."""
        return [batch for batch, gate in enumerate(self.gates) if not gate.done()]


@dataclass
class Account:
    """An observer that writes down what it hears."""

    began_with: list[tuple[int, float, int]] = field(default_factory=list)
    ended_with: list[tuple[float, bool]] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    left: list[int] = field(default_factory=list)

    def began(self, size: int, waited_s: float, queued: int) -> None:
        self.began_with.append((size, waited_s, queued))

    def ended(self, took_s: float, failed: bool) -> None:
        self.ended_with.append((took_s, failed))

    def waiting(self, queued: int) -> None:
        self.left.append(queued)

    def dropped(self, why: str, weight: int) -> None:
        self.lost[why] += weight

    @property
    def sizes(self) -> list[int]:
        """Transactions of each batch."""
        return [size for size, _, _ in self.began_with]


async def settle() -> None:
    """Let everything happen that can happen without the outside world."""
    for _ in range(10):
        await asyncio.sleep(0)


def bounds(size: int = 4, slots: int = 1, queue: int = 100, single_share: float = 0.8) -> BatchSettings:
    return BatchSettings(
        max_size=size, slots=slots, max_queue=queue, max_bulk_queue=queue, single_share=single_share
    )


def batcher(
    processor: Processor, settings: BatchSettings | None = None, observer: Observer | None = None
) -> Batcher:
    return MicroBatcher(processor, settings or bounds(), observer or Account())


def call(
    batches: Batcher,
    group: Group,
    max_wait_s: float = LONG_S,
    bulk: bool = False,
    gone: Callable[[], bool] = stays,
) -> Call:
    return asyncio.create_task(batches.submit(group, len(group), max_wait_s, bulk, gone))


def own(call: Call) -> Numbers:
    """Return what of the batch's result belongs to the caller."""
    result, share = call.result()
    return result[share.start : share.stop]
