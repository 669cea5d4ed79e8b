"""``tollgate join`` and ``tollgate leave``: this machine as a node of a cluster whose head runs elsewhere."""

import os
from typing import Annotated

import typer
from rich.console import Console

from cluster.processes import owned_by
from cluster.reporting import Home, PortBase, PortOptions, reporting, standing_settings
from cluster.settings import Ports, settings_from
from features.errors import ClusterError


def join_command(
    head: Annotated[str, typer.Argument(metavar="HEAD", help="Address of the head: host, or host:port.")],
    home: Home = None,
    node_address: Annotated[
        str | None,
        typer.Option(
            help="Address at which the others reach this machine; default: the one towards the head."
            " [env: TOLLGATE_NODE_ADDRESS]"
        ),
    ] = None,
    port: PortOptions = None,
    port_base: PortBase = None,
) -> None:
    """Make this machine a worker node of a cluster that `tollgate up --node-address` started elsewhere.

    It needs the head's token in secrets/ray_token of the state folder (or TOLLGATE_RAY_TOKEN_FILE), and the head's
    store, registry and API keys: TOLLGATE_REDIS_URL, MLFLOW_TRACKING_URI, TOLLGATE_API_KEYS_FILE.
    """
    from cluster.join import join
    from cluster.reach import address_towards
    from cluster.steps import Steps

    console = Console(stderr=True)
    with reporting():
        address = with_port(head)
        settings = settings_from(
            os.environ,
            home=home,
            port_base=port_base,
            ports=port or (),
            node_address=node_address or os.environ.get("TOLLGATE_NODE_ADDRESS") or address_towards(address),
            head_address=address,
        )
        already = join(settings, os.environ, Steps(console))
        joined = "was a node already" if already else "joined"
        console.print(f"{settings.hosts.node_address} {joined}; the head is {address}.")


def leave_command(
    home: Home = None,
    drain_s: Annotated[
        int,
        typer.Option(
            min=0, help="Seconds that Serve has to replace this node's replicas elsewhere; 0: stop them at once."
        ),
    ] = 120,
) -> None:
    """Take the worker node of this machine out of its cluster: its replicas first, then all of its processes.

    Take it out of the load balancer before: clients that are connected to this machine are cut off in the end.
    """
    from cluster.leave import leave
    from cluster.steps import Steps

    console = Console(stderr=True)
    with reporting():
        settings = standing_settings(home)
        if not owned_by(settings.home):
            raise ClusterError(f"Nothing was running: {settings.home} is no node of a cluster now.")
        if not settings.hosts.is_worker:
            raise ClusterError(
                f"{settings.home} is no worker node; `tollgate down` stops a head with all it serves."
            )
        result = leave(settings, os.environ, Steps(console), drain_s)
        console.print(f"Left. {result.stopped} processes stopped.")


def with_port(head: str) -> str:
    """Return the address of a head with a port, by default that of our own heads.

    >>> with_port("10.0.0.1"), with_port("10.0.0.1:7000"), with_port("fd00::1"), with_port("[fd00::1]:7000")
    ('10.0.0.1:6390', '10.0.0.1:7000', '[fd00::1]:6390', '[fd00::1]:7000')

    Raises:
        ClusterError: it is no address.
    """
    if "/" in head:
        raise ClusterError(f"A head is HOST or HOST:PORT, for example 10.0.0.1; this was {head!r}.")
    if head.count(":") > 1 and not head.startswith("["):
        head = f"[{head}]"
    if head.endswith("]") or ":" not in head:
        return f"{head}:{Ports().ray_gcs}"
    return head
