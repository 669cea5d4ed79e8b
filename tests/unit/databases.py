"""A numbered database of the tests' store, empty before and after."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis


@contextmanager
def emptied(valkey_socket: str, database: int) -> Iterator[redis.Redis]:
    """Give a client of a database that holds nothing, and leave it so."""
    with redis.Redis(unix_socket_path=valkey_socket, db=database) as client:
        client.flushdb()
        yield client
        client.flushdb()
