"""Whether the service may be open to everybody: only where nobody but its own machine can reach it."""

from collections.abc import Mapping
from typing import Final

from deployments.access.key_file import VARIABLE
from features.errors import InvalidKeys
from features.store_address import is_loopback

ALLOW_ANONYMOUS: Final = "TOLLGATE_ALLOW_ANONYMOUS"


def check_door(host: str | None, environment: Mapping[str, str]) -> None:
    """Check that API keys are required wherever others than this machine can connect.

    Args:
        host: address that the service listens on; None: it listens nowhere.
        environment: ``TOLLGATE_API_KEYS_FILE`` names the keys; ``TOLLGATE_ALLOW_ANONYMOUS=1`` does without.

    Raises:
        InvalidKeys: the service would let everybody in.
    """
    if host is None or is_loopback(host) or environment.get(VARIABLE) or environment.get(ALLOW_ANONYMOUS) == "1":
        return
    raise InvalidKeys(
        f"The service would listen on {host}, where other machines reach it, and let everybody in: {VARIABLE}"
        " names no API keys. Make some (`tollgate keys create --scope score`), or bind to 127.0.0.1, or set"
        f" {ALLOW_ANONYMOUS}=1 where something in front of the service keeps others out."
    )


def bound_host() -> str | None:
    """Return the address that Serve's HTTP servers listen on, HAProxy and this replica alike.

    None where Serve does not run, as in tests, or serves no HTTP.
    """
    # Imported here, as the launcher asks check_door alone and should not wait for Ray.
    import ray

    if not ray.is_initialized():
        return None
    # Serve tells a replica so by no public means; Ray's version is pinned, and a test of the real graph looks.
    from ray.serve.context import _get_global_client

    client = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        return None
    host: str | None = client.http_config.host
    return host
