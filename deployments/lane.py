"""One of the two queues of the micro-batcher, with an account of what it was served."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Generic[Item, Answer]):
    """An item that waits: its weight in transactions, when it came and when its time is over (loop time)."""

    item: Item
    weight: int
    arrived: float
    deadline: float
    gone: Callable[[], bool]
    future: "asyncio.Future[Answer]"


class Lane(Generic[Item, Answer]):
    """Entries in order of arrival.

    Attributes:
        weight: transactions that wait.
        share: of the service while the other lane waits, too; 0 < share < 1.
        served: transactions served, over the share: the lane that has less is the next. A lane that begins to
            wait starts where the other one is, so that idleness earns no credit.
    """

    def __init__(self) -> None:
        self._entries: deque[Entry[Item, Answer]] = deque()
        self.weight = 0
        self.share = 0.5
        self.served = 0.0

    def append(self, entry: Entry[Item, Answer], other: "Lane[Item, Answer]") -> None:
        """Put an entry at the end."""
        if not self._entries:
            self.served = max(self.served, other.served) if other.weight else 0.0
            if not other.weight:
                other.served = 0.0
        self._entries.append(entry)
        self.weight += entry.weight

    def pop(self, room: int, alone: bool) -> Entry[Item, Answer] | None:
        """Return the first entry, when it fits; one that fits no batch any more goes when it is alone."""
        if not self._entries or (self._entries[0].weight > room and not alone):
            return None
        entry = self._entries.popleft()
        self.weight -= entry.weight
        return entry

    def serve(self, weight: int) -> None:
        """Book so many transactions as served."""
        self.served += weight / self.share

    def owe_at_most(self, served: float) -> None:
        """Bound what is booked, so that room which nobody else wanted is not paid for without end."""
        self.served = min(self.served, served)

    def keep(self, wanted: Callable[[Entry[Item, Answer]], bool]) -> None:
        """Forget the entries that are not wanted any more."""
        self._entries = deque(entry for entry in self._entries if wanted(entry))
        self.weight = sum(entry.weight for entry in self._entries)

    def first_deadline(self) -> float:
        """Return the earliest deadline of the entries; there must be one."""
        return min(entry.deadline for entry in self._entries)
