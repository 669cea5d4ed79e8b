"""What must hold before several machines form a cluster; each sentence says what to do about it."""

import socket
from urllib.parse import urlsplit

from cluster import registry, valkey
from cluster.settings import ClusterSettings
from deployments.access.key_file import read_keys
from features.errors import ClusterError
from features.store_address import is_loopback

CONNECT_S = 5.0
HEALTH = "/grpc.health.v1.Health/Check"


def check_shared_servers(settings: ClusterSettings) -> None:
    """Check that the servers which all nodes share are such that all nodes can reach them.

    Raises:
        ClusterError: the store or the registry is this machine's own, or clients are let in on loopback alone.
    """
    if settings.hosts.alone:
        return
    for variable, url in (
        ("TOLLGATE_REDIS_URL", settings.redis_url_external),
        ("MLFLOW_TRACKING_URI", settings.mlflow_uri_external),
    ):
        if url is None:
            raise ClusterError(
                f"On several hosts all nodes share one server: set {variable} to one they all reach."
            )
        host = urlsplit(url).hostname
        if host is not None and is_loopback(host):
            raise ClusterError(f"{variable} names {host}, which is another machine on each node.")
    if not settings.hosts.is_worker and is_loopback(settings.host):
        raise ClusterError(
            "On several hosts each node's HAProxy calls replicas on the others, which listen where clients are let"
            " in: give an address that the nodes reach, such as --host 0.0.0.0."
        )


def check_keys(settings: ClusterSettings) -> None:
    """Check that the API keys can be read: ingress replicas would die of it again and again.

    Raises:
        InvalidKeys: they cannot.
    """
    if settings.api_keys_file is not None:
        read_keys(settings.api_keys_file)


def check_head(settings: ClusterSettings) -> None:
    """Check that a worker node will find its head, its token, the store and the registry.

    Raises:
        ClusterError: one of them is missing; says which.
    """
    address = settings.hosts.head_address
    assert address is not None  # Of a worker it is known.
    if settings.ray_auth == "token" and not settings.ray_token_file.exists():
        raise ClusterError(
            f"There is no token at {settings.ray_token_file}. Copy it from the head, where it is secrets/ray_token"
            " in the state folder, or name another file in TOLLGATE_RAY_TOKEN_FILE."
        )
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except OSError as error:
        raise ClusterError(
            f"No Ray head answers at {address}: {error}. Is it up, with --node-address, and may this machine reach"
            " it?"
        ) from error
    if not _speaks_grpc(address):
        raise ClusterError(
            f"What answers at {address} is no Ray head: its GCS listens at 6390, unless configured."
        )
    name = f"{settings.redis_address} (TOLLGATE_REDIS_URL)"
    valkey.check_answers(settings.redis_url, name)
    valkey.check_keeps(settings.redis_url, name)
    if not registry.answers(settings.mlflow_uri):
        raise ClusterError("The model registry at MLFLOW_TRACKING_URI does not answer from this machine.")


def _speaks_grpc(address: str) -> bool:
    """Return whether a server of Ray listens there: each of them tells its health to everybody."""
    import grpc  # type: ignore[import-untyped]

    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(HEALTH)
        try:
            ask(b"", timeout=CONNECT_S)
        except grpc.RpcError as error:
            return error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    return True


def address_towards(head_address: str) -> str:
    """Return the address of this machine on the way to the head; nothing is sent.

    Raises:
        ClusterError: there is no way.
    """
    host, _, port = head_address.rpartition(":")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except (OSError, ValueError) as error:
        raise ClusterError(f"This machine has no way to {head_address}: {error}.") from error
