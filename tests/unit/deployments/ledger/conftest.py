"""A real store for the decision log: a database of its own, empty before and after each test."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from deployments.ledger.ledger import Ledger
from deployments.ledger.spool import Spool
from deployments.ledger.stream import LogStream
from deployments.settings import BreakerSettings, RecordSettings
from features.online import AsyncOnlineStore
from tests.unit.databases import emptied
from tests.unit.deployments.ledger.entries import POLICY

DATABASE = 4


@dataclass
class Circuits:
    """Writes down what it hears of circuits."""

    states: list[tuple[str, bool]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def circuit(self, dependency: str, is_open: bool) -> None:
        """Remember a state."""
        self.states.append((dependency, is_open))

    def failed(self, dependency: str) -> None:
        """Remember a failure."""
        self.failures.append(dependency)


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with emptied(valkey_socket, DATABASE) as client:
        yield client


@pytest.fixture
def log(client: redis.Redis) -> LogStream:
    return LogStream(client)


@pytest.fixture
async def store(client: redis.Redis) -> AsyncIterator[AsyncOnlineStore]:
    store = AsyncOnlineStore(f"unix://{client.get_connection_kwargs()['path']}?db={DATABASE}", timeout_s=60)
    yield store
    await store.close()


@dataclass
class Ledgers:
    """Makes ledgers that are ready, without their background work, and closes what they left open."""

    spools: list[Spool] = field(default_factory=list)
    stores: list[AsyncOnlineStore] = field(default_factory=list)
    superseded: list[int] = field(default_factory=list)

    def __call__(self, store: AsyncOnlineStore, folder: Path, circuits: Circuits | None = None) -> Ledger:
        """Return a ledger on a store, with its spool in a folder."""
        self.spools.append(Spool(folder))
        self.stores.append(store)
        ledger = Ledger(store, self.spools[-1], circuits or Circuits(), self.superseded.append)
        ledger.take(RecordSettings(timeout_ms=60_000), BreakerSettings(), POLICY)
        return ledger

    def kill(self) -> None:
        """Let go of all files, as the end of their processes would."""
        for spool in self.spools:
            spool.close()


@pytest.fixture
async def ledger_of() -> AsyncIterator[Ledgers]:
    ledgers = Ledgers()
    yield ledgers
    ledgers.kill()
    for store in ledgers.stores:
        await store.close()


@pytest.fixture
def ledger(ledger_of: Ledgers, store: AsyncOnlineStore, tmp_path: Path) -> Ledger:
    return ledger_of(store, tmp_path / "spool")


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[Callable[[], Spool]]:
    """Make spools of replicas of one machine."""
    made: list[Spool] = []

    def make() -> Spool:
        made.append(Spool(tmp_path))
        return made[-1]

    yield make
    for spool in made:
        spool.close()
