"""Which features the nodes of a cluster compute: the head says so in the store that all of them share.

A worker of another release would join, and then make matrices that the others' models were not trained on.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from cluster import valkey
from cluster.settings import ClusterSettings
from features.definitions import fingerprint
from features.errors import ClusterError

HEADS = "tg:heads"
"""Fingerprint of the feature definitions of each head, by its address."""


def tell_nodes(settings: ClusterSettings) -> None:
    """Say for nodes that join what this head computes; alone it has none to tell.

    Raises:
        ClusterError: the store does not take it.
    """
    if settings.hosts.alone:
        return
    with _store(settings) as client:
        client.hset(HEADS, f"{settings.hosts.node_address}:{settings.ports.ray_gcs}", fingerprint())


def check_same_features(settings: ClusterSettings) -> None:
    """Check that this node computes what its head does, as far as the head has said so.

    Raises:
        ClusterError: it does not, or the store does not say.
    """
    assert settings.hosts.head_address is not None  # Of a worker it is known.
    host, _, port = settings.hosts.head_address.rpartition(":")
    # A head is known by its IP address, and a name may stand for several.
    found = socket.getaddrinfo(host.strip("[]"), None, type=socket.SOCK_STREAM)
    with _store(settings) as client:
        answers = client.hmget(HEADS, [f"{address[0]}:{port}" for *_, address in found])
    told = next(filter(None, answers), fingerprint())
    if told != fingerprint():
        raise ClusterError(
            f"The head computes the feature definitions {told}, this machine's release {fingerprint()}."
            " Install the release of the head here; docs/operations.md: Upgrading."
        )


@contextmanager
def _store(settings: ClusterSettings) -> Iterator[redis.Redis]:
    try:
        with valkey.client_of(settings.redis_url) as client:
            yield client
    except redis.RedisError as error:
        raise ClusterError(
            f"The store at {settings.redis_address} does not answer, or refuses: {error}"
        ) from error
