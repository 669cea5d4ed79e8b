"""The client of the online store on the decision path: redis-py, with commands packed by hiredis.

redis-py packs the commands of its blocking client in C, those of its asynchronous one in Python: 3,000 arguments,
as a batch of 500 has them, take milliseconds in place of half of one.
"""

from typing import Any, Final

import redis.asyncio
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.retry import Retry

_SERIALIZER: Final = HiredisRespSerializer()


class _PackedInC(AbstractConnection):
    def pack_command(self, *args: Any) -> list[bytes]:
        packed: list[bytes] = _SERIALIZER.pack(*args)
        return packed


class _Plain(_PackedInC, Connection):
    pass


class _Encrypted(_PackedInC, SSLConnection):
    pass


class _Local(_PackedInC, UnixDomainSocketConnection):
    pass


_PACKED: Final[dict[Any, type[AbstractConnection]]] = {
    Connection: _Plain,
    SSLConnection: _Encrypted,
    UnixDomainSocketConnection: _Local,
}


def store_client(url: str) -> "redis.asyncio.Redis":
    """Return a client that asks at most twice and knows no bound on time: its caller does.

    Args:
        url: ``redis://...``, ``rediss://...`` or ``unix://...``.
    """
    # One retry, at once: it mends a connection that the server closed. The bound on time is the caller's alone, so
    # that it holds over connecting, retrying and reading together.
    client = redis.asyncio.Redis.from_url(
        url, socket_timeout=None, socket_connect_timeout=None, retry=Retry(NoBackoff(), 1)
    )
    pool = client.connection_pool
    pool.connection_class = _PACKED[pool.connection_class]
    return client
