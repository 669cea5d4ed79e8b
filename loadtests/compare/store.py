"""The load test's part of the online store: the same history before each repetition, for every system alike."""

import time
from typing import Any, Final

import redis

from features.online import OnlineStore, key_prefix
from loadtests.compare.payments import history

PATTERNS: Final = (b"c:W*", b"d:W*", b"m:WM*")
"""Keys of the entities that the load tests make; those of anybody else are left alone."""
PLAIN_PATTERN: Final = b"plain:W*"
"""Keys of the peer that keeps totals rather than windows."""
_PAGE: Final = 10_000


def connect(redis_url: str) -> "redis.Redis":
    """Return a client of the store."""
    return redis.Redis.from_url(redis_url, socket_timeout=30)


def reset(client: "redis.Redis", customers: int, rounds: int) -> None:
    """Remove what the load tests left, and give each customer ``rounds`` payments over the last 30 days."""
    for pattern in (*(key_prefix() + pattern for pattern in PATTERNS), PLAIN_PATTERN):
        _remove(client, pattern)
    store = OnlineStore(client)
    for batch in history(customers, rounds, time.time()):
        store.append(batch)


def state(client: "redis.Redis") -> dict[str, Any]:
    """Return how many keys the store holds, and the bytes that it uses."""
    memory: Any = client.info("memory")
    return {"keys": client.dbsize(), "used_memory_bytes": memory["used_memory"]}


def _remove(client: "redis.Redis", pattern: bytes) -> None:
    keys = list(client.scan_iter(pattern, count=_PAGE))
    for start in range(0, len(keys), _PAGE):
        client.unlink(*keys[start : start + _PAGE])
