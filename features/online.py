"""The online evaluator: point-in-time aggregates of a micro-batch from Redis, in one atomic round trip.

The script (``online.lua``) reads the past of each transaction and appends the transaction; numpy turns the
bytes that it returns into aggregates (:mod:`features.windows`). Two stores share both: :class:`OnlineStore`
blocks (backfill, replay, tests), :class:`AsyncOnlineStore` serves.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis
import redis.exceptions

from features.claims import CLAIM_PREFIX, claim_keys, claims
from features.definitions import fingerprint
from features.errors import OnlineStoreUnavailable
from features.formulas import OWN_COLUMNS
from features.label import LABEL_LOG_KEY, LabelBatch, LabelOutcome
from features.layout import EVENT, LABEL, LAYOUT_VERSION, lua_prelude
from features.store_client import StoreClient, StoreScript
from features.transaction import Int64s, TransactionBatch, transaction_hashes
from features.windows import aggregates

Hashes = npt.NDArray[np.uint64]

_REFUSED: Final = (redis.exceptions.RedisError, OSError)


def key_prefix() -> bytes:
    """Return what every key begins with, so that two definitions, or two layouts, never share state."""
    return b"tg:%s.%d:" % (fingerprint()[:8].encode(), LAYOUT_VERSION)


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """One call of the script for a batch: its keys, its arguments, and what decoding the reply needs."""

    keys: list[bytes]
    arguments: list[bytes]
    event_time_ms: Int64s
    hashes: Hashes


def encode(batch: TransactionBatch, prefix: bytes, claimed: bool = True) -> StoreRequest:
    """Return the script call for a batch of n transactions: 4 n keys, n event records and n claims.

    Args:
        claimed: whether each transaction claims its id. History that is loaded does not: nobody decides on it.
    """
    hashes = transaction_hashes(batch.transaction_id)
    events = np.empty(len(batch), EVENT)
    events["event_time_ms"] = batch.event_time_ms
    events["amount_minor"] = batch.amount_minor
    events["hash"] = hashes
    events["lat_udeg"] = batch.lat_udeg
    events["long_udeg"] = batch.long_udeg
    packed = events.tobytes()
    size = EVENT.itemsize
    customer, device, merchant = prefix + b"c:", prefix + b"d:", prefix + b"m:"
    keys = [b""] * (4 * len(batch))
    keys[0::4] = [customer + i.encode() for i in batch.customer_id]
    keys[1::4] = [b"" if i is None else device + i.encode() for i in batch.device_id]
    keys[2::4] = [b"" if i is None else merchant + i.encode() for i in batch.merchant_id]
    arguments = [b""] * (2 * len(batch))
    arguments[0::2] = [packed[at : at + size] for at in range(0, len(packed), size)]
    if claimed:
        keys[3::4] = claim_keys(batch)
        arguments[1::2] = claims(batch)
    return StoreRequest(keys, arguments, batch.event_time_ms, hashes)


def decode(batch: TransactionBatch, request: StoreRequest, reply: list[bytes]) -> dict[str, Int64s]:
    """Return ``OWN_COLUMNS`` and ``AGGREGATE_COLUMNS`` of the batch, each (n,) int64."""
    return {**own_columns(batch), **aggregates(reply, request.event_time_ms, request.hashes)}


def own_columns(batch: TransactionBatch) -> dict[str, Int64s]:
    """Return the columns that a transaction brings itself, each (n,) int64."""
    return {name: getattr(batch, name).astype(np.int64) for name in OWN_COLUMNS}


def encode_labels(labels: LabelBatch, prefix: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the keys and the arguments of the script call for labels."""
    records = np.empty(len(labels), LABEL)
    records["event_time_ms"] = labels.event_time_ms
    records["known_ms"] = labels.known_ms
    records["is_fraud"] = labels.is_fraud
    keys = [b""] * (2 * len(labels))
    keys[0::2] = [b"" if i is None else prefix + b"m:" + i.encode() for i in labels.merchant_id]
    keys[1::2] = [prefix + b"l:" + i.encode() for i in labels.transaction_id]
    logged = labels.source is not None
    keys.append(LABEL_LOG_KEY if logged else b"")
    return keys, [*(record.tobytes() for record in records), labels.to_json() if logged else b""]


def script(name: str) -> str:
    """Return the text of a script with its constants in front."""
    return lua_prelude() + files("features").joinpath(name).read_text("utf-8")


class OnlineStore:
    """The blocking store. A retried transaction_id is never counted twice.

    Args:
        client: a connected ``redis.Redis`` that returns bytes (``decode_responses`` off).
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._prefix = key_prefix()
        self._observe = client.register_script(script("online.lua"))
        self._label = client.register_script(script("labels.lua"))

    def observe(self, batch: TransactionBatch) -> dict[str, Int64s]:
        """Return the columns of the batch as of each transaction, then count the batch.

        Raises:
            OnlineStoreUnavailable: the store did not answer; whether the batch was counted is unknown, and
                observing it again is safe.
        """
        request = encode(batch, self._prefix)
        return decode(batch, request, self._call(self._observe, request.keys, [b"1", *request.arguments]))

    def append(self, batch: TransactionBatch) -> None:
        """Count the batch without reading its past and without claiming its ids (backfill).

        Raises:
            OnlineStoreUnavailable: as :meth:`observe`.
        """
        request = encode(batch, self._prefix, claimed=False)
        self._call(self._observe, request.keys, [b"0", *request.arguments])

    def take_labels(self, labels: LabelBatch) -> list[LabelOutcome]:
        """Take labels in their order, at most ``LABELS_A_CALL``; return what became of each.

        Raises:
            OnlineStoreUnavailable: the store did not answer; taking the same labels again is safe.
        """
        if not len(labels):
            return []
        keys, records = encode_labels(labels, self._prefix)
        return [LabelOutcome(outcome) for outcome in self._call(self._label, keys, records)]

    def entities(self) -> int:
        """Return how many keys of these definitions the store holds."""
        return sum(1 for _ in self._client.scan_iter(self._prefix + b"*", count=10_000))

    def clear(self) -> int:
        """Delete every key of these definitions and every claim; return how many there were."""
        keys = [
            key
            for prefix in (self._prefix, CLAIM_PREFIX)
            for key in self._client.scan_iter(prefix + b"*", count=10_000)
        ]
        for at in range(0, len(keys), 10_000):
            self._client.unlink(*keys[at : at + 10_000])
        return len(keys)

    def _call(self, call: Any, keys: list[bytes], args: list[bytes]) -> Any:
        try:
            return call(keys=keys, args=args)
        except _REFUSED as error:
            raise OnlineStoreUnavailable(f"the online store did not answer: {error}") from error


class AsyncOnlineStore:
    """The store on the decision path. See :class:`OnlineStore` for what it promises.

    Args:
        url: ``redis://...`` or ``rediss://...``.

    Attributes:
        timeout_s: bound on each answer, connecting included, in seconds; may change at any time.
    """

    def __init__(self, url: str, timeout_s: float = 1.0) -> None:
        self.timeout_s = timeout_s
        self._client = StoreClient(url)
        self._prefix = key_prefix()
        self._observe = self.register(script("online.lua"))
        self._label = self.register(script("labels.lua"))

    async def observe(self, batch: TransactionBatch, claimed: bool = True) -> dict[str, Int64s]:
        """Return the columns of the batch as of each transaction, then count the batch.

        Args:
            claimed: whether each transaction claims its id, as where its decision goes on record.

        Raises:
            OnlineStoreUnavailable: as :meth:`OnlineStore.observe`.
        """
        request = encode(batch, self._prefix, claimed)
        reply = await self._bounded(self._observe(request.keys, [b"1", *request.arguments]))
        return decode(batch, request, reply)

    async def append(self, batch: TransactionBatch) -> None:
        """Count the batch without reading its past; its ids are claimed.

        Raises:
            OnlineStoreUnavailable: as :meth:`OnlineStore.observe`.
        """
        request = encode(batch, self._prefix)
        await self._bounded(self._observe(request.keys, [b"0", *request.arguments]))

    def register(self, text: str) -> StoreScript:
        """Return a script of the caller's own, for :meth:`run`."""
        return StoreScript(self._client, text)

    async def run(self, registered: StoreScript, keys: list[bytes], arguments: list[Any]) -> Any:
        """Return what a script answers.

        Raises:
            OnlineStoreUnavailable: the store did not answer; whether the script ran is unknown.
        """
        return await self._bounded(registered(keys, arguments))

    async def take_labels(self, labels: LabelBatch) -> list[LabelOutcome]:
        """Take labels in their order, at most ``LABELS_A_CALL``; return what became of each.

        Raises:
            OnlineStoreUnavailable: as :meth:`OnlineStore.take_labels`.
        """
        if not len(labels):
            return []
        keys, records = encode_labels(labels, self._prefix)
        return [LabelOutcome(outcome) for outcome in await self._bounded(self._label(keys, records))]

    async def ping(self) -> None:
        """Return when the store answers.

        Raises:
            OnlineStoreUnavailable: it does not.
        """
        await self._bounded(self._client.ask("PING"))

    async def _bounded(self, call: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await call
        except TimeoutError as error:
            raise OnlineStoreUnavailable(f"the online store did not answer within {self.timeout_s} s") from error
        except _REFUSED as error:
            raise OnlineStoreUnavailable(f"the online store did not answer: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
