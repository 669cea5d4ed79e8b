"""Stores that cannot be reached, and what is in the log of one that can."""

from collections import Counter
from pathlib import Path
from typing import Any

from deployments.ledger.entry_id import START
from deployments.ledger.kinds import DECISIONS
from deployments.ledger.stream import LogStream
from features.online import AsyncOnlineStore
from features.transaction import TransactionBatch

LONG_S = 60.0


def rows_of(log: LogStream) -> list[dict[str, Any]]:
    """Return the decisions in the log, in order."""
    return [row for entry in log.after(START) for row in DECISIONS.rows_of([entry]).to_pylist()]


def logged(log: LogStream) -> Counter[str]:
    """Return how often each transaction is decided in the log."""
    return Counter(row["transaction_id"] for row in rows_of(log))


def recorded(log: LogStream) -> dict[str, float]:
    """Return the probability that the log has of each transaction."""
    return {row["transaction_id"]: row["probability"] for row in rows_of(log)}


def nowhere(tmp_path: Path) -> AsyncOnlineStore:
    """Return a store that no server is behind."""
    return AsyncOnlineStore(f"unix://{tmp_path}/no.sock", timeout_s=LONG_S)


class Road(AsyncOnlineStore):
    """A store that cannot be reached until the road is open."""

    def __init__(self, closed: AsyncOnlineStore, behind: AsyncOnlineStore) -> None:
        self._closed, self._behind = closed, behind
        self.open = False
        self.closes_after: int | None = None
        """Calls after which it closes; None: it stays as it is."""

    def register(self, text: str) -> Any:
        """Return the script for both."""
        return self._closed.register(text), self._behind.register(text)

    async def run(self, registered: Any, keys: list[bytes], arguments: list[Any]) -> Any:
        """Run it where the road leads."""
        if self.closes_after is not None:
            self.open = self.closes_after > 0
            self.closes_after -= 1
        store = self._behind if self.open else self._closed
        return await store.run(registered[self.open], keys, arguments)

    async def append(self, batch: TransactionBatch) -> None:
        """Count where the road leads."""
        await (self._behind if self.open else self._closed).append(batch)

    async def close(self) -> None:
        """Close the one that leads nowhere; the other has an owner."""
        await self._closed.close()
