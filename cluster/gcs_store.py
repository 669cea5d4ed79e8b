"""The Redis or Valkey in which Ray's head keeps its state (``TOLLGATE_GCS_URL``), as the launcher sees it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import redis

from cluster import valkey
from cluster.hosts import GCS_CA_FILE, GCS_PASSWORD_FILE, GCS_URL
from cluster.secret_files import read_secret
from cluster.settings import ClusterSettings
from features.errors import ClusterError
from features.store_address import check_encrypted, with_password

SHUTTING_DOWN: Final = "serve-shutdown-in-progress"
"""How the key ends under which Serve's controller notes that it ends, until it has ended."""


def check_gcs_store(settings: ClusterSettings, environment: Mapping[str, str]) -> None:
    """Check that Ray's head will find the store that it keeps its state in.

    Raises:
        StoreRefused: its password would cross the network in the clear.
        ClusterError: it does not answer, or does not let us in.
    """
    url = settings.hosts.gcs_url
    if url is None:
        return
    check_encrypted(url, environment)
    try:
        with _client(settings, url) as client:
            client.ping()
    except redis.AuthenticationError as error:
        raise ClusterError(
            f"The server at {GCS_URL} refuses the password of {GCS_PASSWORD_FILE}: {error}"
        ) from error
    except (redis.RedisError, OSError) as error:
        raise ClusterError(
            f"No Redis answers at {url} ({GCS_URL}; certificates of its authority: {GCS_CA_FILE}): {error}"
        ) from error


def forget_unfinished_shutdown(settings: ClusterSettings) -> bool:
    """Remove what Ray kept there if Serve was cut off while it shut down; return whether it was.

    A controller that finds its own note goes on to shut down, with whatever is deployed meanwhile. No Ray of ours
    may run.

    Raises:
        ClusterError: the store does not answer.
    """
    url = settings.hosts.gcs_url
    if url is None:
        return False
    prefix = f"RAY{settings.hosts.gcs_namespace}@"
    try:
        with _client(settings, url) as client:
            fields = (field for field, _ in client.hscan_iter(f"{prefix}KV", match=f"*{SHUTTING_DOWN}"))
            if next(fields, None) is None:
                return False
            keys = list(client.scan_iter(f"{prefix}*", count=1000))
            client.unlink(*keys)
    except redis.RedisError as error:
        raise ClusterError(f"No Redis answers at {url} ({GCS_URL}): {error}") from error
    return True


def _client(settings: ClusterSettings, url: str) -> redis.Redis:
    if file := settings.hosts.gcs_password_file:
        url = with_password(url, read_secret(file))
    if settings.hosts.gcs_ca_file is not None and url.startswith("rediss:"):
        url = f"{url}?{urlencode({'ssl_ca_certs': settings.hosts.gcs_ca_file})}"
    return valkey.client_of(url)
