"""The client of the online store on the decision path: connections of redis-py, without its client around them.

That client takes a connection from a pool, notes the command for its metrics, and sees to retries: for a small
command as much work again as the command itself. And it packs commands in Python, where its blocking sister does
in C: 3,000 arguments, as a batch of 500 has them, take milliseconds in place of half of one.
"""

import hashlib
from typing import Any, Final

import redis.asyncio
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as ConnectionTimedOut

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


class StoreClient:
    """Asks the store, and knows no bound on time: its caller does.

    Every command that is under way has a connection of its own; those that are not in use wait for the next.

    Args:
        url: ``redis://...``, ``rediss://...`` or ``unix://...``.
    """

    def __init__(self, url: str) -> None:
        # The bound on time is the caller's alone: it holds over connecting, asking twice and reading together.
        self._pool: Any = redis.asyncio.ConnectionPool.from_url(
            url, socket_timeout=None, socket_connect_timeout=None
        )
        self._pool.connection_class = _PACKED[self._pool.connection_class]
        self._idle: list[AbstractConnection] = []

    async def ask(self, *command: Any) -> Any:
        """Return the answer to a command. Cancelled, it leaves nothing of it to whoever asks next.

        Raises:
            RedisError, OSError: the store refused it, or did not answer, also when it was asked again at once.
        """
        connection: AbstractConnection = self._idle.pop() if self._idle else self._pool.make_connection()
        try:
            try:
                return await _asked(connection, command)
            except (ConnectionLost, ConnectionTimedOut):
                return await _asked(connection, command)  # It may have ended while nobody asked.
        finally:
            # Where anything went wrong redis-py has closed it, and whoever takes it next connects it again.
            self._idle.append(connection)

    async def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            await self._idle.pop().disconnect()


class StoreScript:
    """A script that the store runs; it is sent once to each server.

    Args:
        text: in Lua.

    Attributes:
        digest: by which a server knows it.
    """

    def __init__(self, client: StoreClient, text: str) -> None:
        self._client = client
        self._text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: list[bytes], arguments: list[Any]) -> Any:
        """Return what the script answers; raises as :meth:`StoreClient.ask`."""
        try:
            return await self._client.ask("EVALSHA", self.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self._client.ask("EVAL", self._text, len(keys), *keys, *arguments)


async def _asked(connection: AbstractConnection, command: tuple[Any, ...]) -> Any:
    await connection.send_command(*command, check_health=False)
    return await connection.read_response()
