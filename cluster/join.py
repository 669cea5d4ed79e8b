"""``tollgate join``: makes this machine a node of a cluster whose head runs elsewhere; ``down`` takes it out."""

from collections.abc import Mapping

from cluster import worker
from cluster.environment import component_environment
from cluster.head import keep_logs, stop_ray
from cluster.ports import conflicts
from cluster.processes import RAY, owned_by, stop
from cluster.reach import check_head, check_keys, check_shared_servers
from cluster.record import exclusive, refuse_changes, remember
from cluster.release import check_same_features
from cluster.secret_files import check_private
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from deployments.access.door import check_door
from features.errors import ClusterError

EVERYWHERE = "0.0.0.0"
"""Where clients are let in on a worker node: Serve takes it from the head, and it is no loopback address."""


def join(settings: ClusterSettings, environment: Mapping[str, str], steps: Steps) -> bool:
    """Start a worker node, unless it runs; return whether it did already.

    Serve places replicas on it as soon as there are any to place, and starts HAProxy beside them.

    Raises:
        InvalidKeys: the node would let everybody in, or there are no keys where they are said to be.
        StoreRefused: the online store must not be reached like this.
        ClusterError: head, token, store or registry are missing, the head is of another release, a port is taken,
            or the node did not join.
    """
    check_door(EVERYWHERE, component_environment(settings, RAY, environment))
    check_keys(settings)
    check_shared_servers(settings)
    with exclusive(settings.home):
        refuse_changes(settings)
        for folder in (settings.logs, settings.work, settings.data):
            folder.mkdir(parents=True, exist_ok=True)
        with steps.step("Head, store and registry"):
            check_head(settings)
        if settings.ray_token_file.exists():
            check_private(settings.ray_token_file)
        if worker.is_up(settings):
            return True
        check_same_features(settings)
        _remove_remains(settings, steps)
        with steps.step("Ports"):
            if taken := conflicts(settings.needed_ports(), settings.home, "join"):
                raise ClusterError("\n".join(taken))
        remember(settings)
        with steps.step("Ray worker node"):
            worker.start_worker(settings, environment)
    return False


def _remove_remains(settings: ClusterSettings, steps: Steps) -> None:
    if remains := owned_by(settings.home):
        with steps.step("Removing what an earlier run left") as tell:
            tell(f"{len(remains)} processes")
            stop_ray(settings)
            stop(owned_by(settings.home), settings.waits.process_stop_s)
    keep_logs(settings)
