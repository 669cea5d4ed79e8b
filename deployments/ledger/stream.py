"""A log in the store, for those who read it: a stream of entries, what they refer to, and the claims."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from deployments.ledger.entry_id import EntryId
from deployments.ledger.ledger import LOG_KEY, REFERENCES_KEY
from features.claims import CLAIM_PREFIX
from features.errors import OnlineStoreUnavailable

ENTRIES_A_READ: Final = 64


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """One entry of the stream.

    Attributes:
        fresh: (n,) rows that it holds for the first time; the others were decided, or said, before, or not taken.
        data: the entry, for ``rows_of`` of its kind (:mod:`deployments.ledger.kinds`).
    """

    id: EntryId
    fresh: npt.NDArray[np.bool_]
    data: bytes

    @classmethod
    def of(cls, name: bytes, fields: dict[bytes, bytes]) -> "StoredEntry":
        """Return what the store gives as an entry."""
        fresh = np.frombuffer(fields[b"fresh"], np.uint8) == ord("1")
        return cls(EntryId.parse(name.decode()), fresh, fields[b"entry"])


def log_client(url: str) -> "redis.Redis":
    """Return a client for reading the log, which asks twice and then says that there is no answer."""
    # The library's own default would try for seconds, while somebody waits for GET /decisions.
    return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1))


class LogStream:
    """A log of a store. Every method raises OnlineStoreUnavailable when the store does not answer.

    Args:
        client: a blocking client that returns bytes.
        key: of the stream.
    """

    def __init__(self, client: "redis.Redis", key: bytes = LOG_KEY) -> None:
        self._client: Any = client
        self._key = key

    def length(self) -> int:
        """Return how many entries wait to be drained."""
        with _answering():
            return int(self._client.xlen(self._key))

    def reach(self) -> tuple[EntryId, EntryId] | None:
        """Return the ids of the first and the last entry that are there; None where there is none."""
        with _answering():
            try:
                facts = self._client.xinfo_stream(self._key)
            except redis.ResponseError as error:
                if "no such key" not in str(error):
                    raise
                return None
        first, last = facts["first-entry"], facts["last-entry"]
        return (EntryId.parse(first[0].decode()), EntryId.parse(last[0].decode())) if first else None

    def after(self, entry_id: EntryId) -> Iterator[StoredEntry]:
        """Give the entries after one, in order."""
        while True:
            with _answering():
                found = self._client.xrange(self._key, f"({entry_id}", "+", count=ENTRIES_A_READ)
            if not found:
                return
            for name, fields in found:
                entry = StoredEntry.of(name, fields)
                yield entry
            entry_id = entry.id

    def entry(self, entry_id: EntryId) -> StoredEntry | None:
        """Return an entry; None when it was drained."""
        with _answering():
            found = self._client.xrange(self._key, str(entry_id), str(entry_id))
        return StoredEntry.of(*found[0]) if found else None

    def forget_through(self, entry_id: EntryId) -> None:
        """Delete the entries up to one, that one included."""
        following = EntryId(entry_id.time_ms, entry_id.number + 1)
        with _answering():
            self._client.xtrim(self._key, minid=str(following), approximate=False)

    def references(self, digests: Sequence[str]) -> dict[str, str]:
        """Return what entries refer to by these digests; those that the store does not know are left out."""
        if not digests:
            return {}
        with _answering():
            texts = self._client.hmget(REFERENCES_KEY, list(digests))
        return {digest: text.decode() for digest, text in zip(digests, texts, strict=True) if text is not None}

    def claim(self, transaction_id: str) -> bytes | None:
        """Return the value of the claim key of an id."""
        with _answering():
            value: bytes | None = self._client.get(CLAIM_PREFIX + transaction_id.encode())
        return value


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise OnlineStoreUnavailable(f"the decision log does not answer: {error}") from error
