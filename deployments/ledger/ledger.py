"""The ledger: records the decisions of a batch in one round trip, or on this machine's disk.

What the store does not take waits in the spool and is recorded later, in the background. A batch that the store
did not count, because it was too slow or down, is counted with its record: history has no hole once the store is
back.
"""

import asyncio
import json
import logging
import struct
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Final

from deployments.breaker import Breaker, CircuitObserver
from deployments.ledger.policy import PolicyReference
from deployments.ledger.record import Entry, Written, columns_of, entry_of
from deployments.ledger.spool import Spool
from deployments.ledger.standing import decision_texts, keep
from deployments.ledger.waiting import Waiting
from deployments.settings import BreakerSettings, RecordSettings
from features.claims import claim_keys, claims
from features.definitions import FEATURE_NAMES, fingerprint
from features.errors import DependencyDown, OnlineStoreUnavailable
from features.online import AsyncOnlineStore

logger = logging.getLogger("ray.serve")

LOG_KEY: Final = b"tg:log"
"""The stream of entries that were not drained yet."""
REFERENCES_KEY: Final = b"tg:log:references"
"""What entries refer to by digest: policies, and names of features."""
CATCH_UP_S: Final = 1.0
"""Pause between two attempts to record what waits in the spool."""
CATCH_UP_TIMEOUT_S: Final = 60.0
_NAMES: Final = json.dumps(FEATURE_NAMES)
_LENGTH: Final = struct.Struct("<I")
"""Length of the policy's text, which a spooled entry begins with."""


class Ledger:
    """Records decisions. The first decision on a transaction_id stands; the later get it.

    Args:
        store: where the log, and the claims that decisions are found by, are kept.
        spool: where decisions wait that the store does not take.
        observer: hears of the store's circuit.
        superseded: hears how many decisions were told that do not stand.
    """

    def __init__(
        self,
        store: AsyncOnlineStore,
        spool: Spool,
        observer: CircuitObserver,
        superseded: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._spool = spool
        self._waiting = Waiting()
        self._superseded = superseded
        self._named: set[tuple[str, bytes]] = set()
        self._breaker = Breaker("decision_log", observer, BreakerSettings())
        self._settings = RecordSettings()
        self._policies: dict[str, str] = {}
        self._commit = store.register(files("deployments.ledger").joinpath("commit.lua").read_text("utf-8"))
        self._background: asyncio.Task[None] | None = None
        self._spooling: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def take(self, settings: RecordSettings, breaker: BreakerSettings, policy: PolicyReference) -> None:
        """Take new settings and a new policy."""
        self._settings, self._breaker.settings = settings, breaker
        self._policies[policy.digest] = policy.text

    def start(self) -> None:
        """Begin to record what waits in the spool, in the background; once is enough."""
        if self._background is None:
            self._background = asyncio.get_running_loop().create_task(self._catch_up_for_ever())

    @property
    def problem(self) -> str:
        """What an operator should see to; "" when nothing waits."""
        waiting, aside = self._spool.waiting_bytes, self._spool.set_aside
        problems = [f"{waiting} bytes of decisions wait in the spool for the store"] if waiting else []
        problems += [f"{aside} files of the spool could not be recorded to their end"] if aside else []
        return "; ".join(problems)

    async def record(self, entry: Entry, timeout_s: float) -> bool:
        """Return once the entry is durable: True if the log has it, False if it waits in the spool.

        Rows that were decided before get that decision; rows whose id stands for another body become conflicts.

        Args:
            timeout_s: bound on the store's answer, beside that of the settings.

        Raises:
            DecisionNotRecorded: it is durable nowhere.
        """
        own_claims = claims(entry.batch)
        data = entry.to_bytes()
        try:
            bound_s = min(timeout_s, self._settings.timeout_ms / 1000)
            found = await self._breaker.call(bound_s, lambda: self._in_order(entry, data, own_claims))
        except (OnlineStoreUnavailable, DependencyDown, TimeoutError):  # Logged, and counted, by the circuit.
            # To its end, although the caller may give up: what is on the disk is recorded, so a retry must get it.
            spooling = asyncio.create_task(self._spooled(entry, data, own_claims))
            self._spooling.add(spooling)
            spooling.add_done_callback(self._spooling.discard)
            await asyncio.shield(spooling)
            return False
        keep(entry.decisions, own_claims, found)
        return True

    async def _in_order(self, entry: Entry, data: bytes, own_claims: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Commit a batch, and before it those of ours that wait and hold an id of it: they were told first."""
        earlier = self._waiting.entries(entry.batch.transaction_id)
        for waiting in earlier:
            await self._committed(waiting.entry, waiting.data, waiting.claims)
        found = await self._committed(entry, data, own_claims)
        for waiting in earlier:
            self._waiting.forget(waiting.entry.batch.transaction_id)
        return found

    async def _spooled(self, entry: Entry, data: bytes, own_claims: Sequence[bytes]) -> None:
        """Return once each row of a batch is on this machine's disk, each id once: the first decision stands.

        Raises:
            DecisionNotRecorded: those that were not there before are not on it.
        """
        # In turn: what a retry is told lies on the disk before.
        async with self._turn:
            ids = entry.batch.transaction_id
            known = self._waiting.values(ids)
            taken = {ids[row] for row, _ in known}
            first: dict[str, int] = {}
            for row, name in enumerate(ids):
                if name not in taken:
                    first.setdefault(name, row)
            fresh = list(first.values())
            if fresh:
                await self._wait(entry, data, own_claims, fresh)
            copies = [(row, value) for row, value in self._waiting.values(ids) if first.get(ids[row], row) != row]
            keep(entry.decisions, own_claims, [*known, *copies])

    async def _wait(self, entry: Entry, data: bytes, own_claims: Sequence[bytes], rows: list[int]) -> None:
        """Put some rows of a batch on the disk, and remember them."""
        if len(rows) < len(own_claims):
            entry = entry.take(rows)
            data, own_claims = entry.to_bytes(), [own_claims[row] for row in rows]
        policy = self._policies[entry.header.policy].encode()
        spooled = _LENGTH.pack(len(policy)) + policy + data
        file = await self._spool.append(spooled, self._settings.max_spool_bytes)
        self._waiting.add(entry, data, own_claims, file)

    async def catch_up(self) -> int:
        """Record what waits in the spool; return how many batches that were.

        Raises:
            OnlineStoreUnavailable: the store does not take them; they stay.
        """
        await self._spool.look()
        self._waiting.forget_recorded()
        if not self._spool.waiting_bytes:
            return 0
        count = 0
        await self._spool.seal()
        for file in self._spool.left():
            recorded = 0
            for spooled in file.entries:
                try:
                    entry, data, policy = _told(spooled)
                except Exception:
                    # As of another release. It keeps those behind it waiting no longer than it takes to say so.
                    logger.exception("an entry of the spool cannot be read")
                    continue
                # Another replica, with another policy, may have made the decision.
                self._policies.setdefault(entry.header.policy, policy)
                await self._recorded_late(entry, data, claims(entry.batch))
                self._waiting.forget(entry.batch.transaction_id)
                recorded += 1
            file.end(recorded == len(file.entries))
            count += recorded
        self._named.clear()
        await self._spool.seal()
        await self._spool.look()
        return count

    async def _recorded_late(self, entry: Entry, data: bytes, own_claims: Sequence[bytes]) -> None:
        """Commit a batch that was told before, and say which of its decisions do not stand."""
        found = await self._committed(entry, data, own_claims)
        if not found:
            return
        texts = decision_texts(entry.decisions, entry.header)
        for row, value in found:
            told = (entry.batch.transaction_id[row], texts[row])
            # What was recorded, and not confirmed, is found again; and what was named, until its file has ended.
            if told in self._named or value.split(b"\n", 2)[0::2] == [own_claims[row], texts[row]]:
                continue
            self._named.add(told)
            self._superseded(1)
            logger.error("the decision on %r that was told, %r, does not stand: %r does", *told, value)

    async def _catch_up_for_ever(self) -> None:
        while True:
            await asyncio.sleep(CATCH_UP_S)
            try:
                async with asyncio.timeout(CATCH_UP_TIMEOUT_S):
                    count = await self.catch_up()
            except (OnlineStoreUnavailable, TimeoutError) as error:
                logger.warning("decisions still wait in the spool: %r", error)
            except Exception:
                logger.exception("the spool cannot be recorded; it is tried again")
            else:
                if count:
                    logger.warning("recorded %d batches that had waited in the spool", count)

    async def _committed(self, entry: Entry, data: bytes, own_claims: Sequence[bytes]) -> list[tuple[int, bytes]]:
        if not entry.header.has_history:
            await self._store.append(entry.batch)
        keys = [LOG_KEY, REFERENCES_KEY, *claim_keys(entry.batch)]
        policy = entry.header.policy
        references = [policy, self._policies[policy]]
        if entry.header.fingerprint == fingerprint():  # Else another release spooled it, and knows their names.
            references += [entry.header.fingerprint, _NAMES]
        arguments: list[Any] = [data, self._settings.remember_hours * 3600, len(references) // 2, *references]
        for claim, text in zip(own_claims, decision_texts(entry.decisions, entry.header), strict=True):
            arguments += (claim, text)
        found = await self._store.run(self._commit, keys, arguments)
        return list(zip(found[0::2], found[1::2], strict=True))


def _told(spooled: bytes) -> tuple[Entry, bytes, str]:
    """Return an entry of the spool, its bytes, and the text of its policy."""
    [size] = _LENGTH.unpack_from(spooled)
    policy, data = spooled[_LENGTH.size : _LENGTH.size + size], spooled[_LENGTH.size + size :]
    written = Written.parse(data)
    return entry_of(written.header, columns_of([written])), data, policy.decode()
