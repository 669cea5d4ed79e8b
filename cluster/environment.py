"""What the parts of a stack find in their environment; built from the settings, not from chance."""

from collections.abc import Mapping

from cluster.haproxy import haproxy_environment
from cluster.hosts import GCS_PASSWORD_FILE, RECONNECT_S
from cluster.processes import COMPONENT, MARK, RAY
from cluster.settings import INGRESS_PORTS, PROJECT, ClusterSettings

# Variables of the calling shell that would make Ray join another cluster than the one being started, or show a
# token that is not its own.
FOREIGN = (
    "RAY_ADDRESS",
    "RAY_JOB_CONFIG_JSON_ENV_VAR",
    "RAY_RUNTIME_ENV_HOOK",
    "RAY_AUTH_TOKEN",
    "RAY_REDIS_ADDRESS",
    "RAY_REDIS_PASSWORD",
    "RAY_external_storage_namespace",
    GCS_PASSWORD_FILE,
)


def component_environment(settings: ClusterSettings, component: str, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one part of the stack: the caller's, the addresses, and the mark."""
    inherited = {name: value for name, value in base.items() if name not in FOREIGN}
    paths = [str(PROJECT), *filter(None, [inherited.get("PYTHONPATH")])]
    return inherited | {
        MARK: str(settings.home),
        COMPONENT: component,
        "PYTHONPATH": ":".join(paths),
        "TOLLGATE_HOME": str(settings.home),
        "TOLLGATE_DATA_FOLDER": str(settings.data),
        **settings.store_variables,
        **_access(settings),
        "MLFLOW_TRACKING_URI": settings.mlflow_uri,
        # Explicit, because what a plain ``ray.init`` of the user left behind would decide otherwise.
        "RAY_AUTH_MODE": settings.ray_auth,
        "RAY_AUTH_TOKEN_PATH": str(settings.ray_token_file),
        # Its name notwithstanding: where no other machine joins, Ray takes the loopback address as this machine's.
        # Then GCS, raylet, agents and workers listen there alone, and otherwise on all interfaces.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0" if settings.hosts.alone else "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        # The processes are the parallelism; numeric libraries that start a thread a core only get in the way.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }


def _access(settings: ClusterSettings) -> dict[str, str]:
    variables = {"TOLLGATE_ALLOW_ANONYMOUS": "1"} if settings.allow_anonymous else {}
    if settings.api_keys_file is not None:
        # A path, which may be known: what it names is hashes, in a file of this user alone.
        variables["TOLLGATE_API_KEYS_FILE"] = str(settings.api_keys_file)
    return variables


def head_environment(settings: ClusterSettings, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the Ray head, from which Serve's controller and HAProxy take theirs."""
    return node_environment(settings, base) | _gcs_store(settings)


def _gcs_store(settings: ClusterSettings) -> dict[str, str]:
    """Return what tells the head where Ray's state is kept; its password stays in its file."""
    hosts = settings.hosts
    if hosts.gcs_address is None:
        return {}
    variables = {"RAY_REDIS_ADDRESS": hosts.gcs_address, "RAY_external_storage_namespace": hosts.gcs_namespace}
    if hosts.gcs_password_file is not None:
        variables[GCS_PASSWORD_FILE] = str(hosts.gcs_password_file)
    if hosts.gcs_ca_file is not None:
        variables["RAY_REDIS_CA_CERT"] = str(hosts.gcs_ca_file)
    return variables


def _patience(settings: ClusterSettings) -> dict[str, str]:
    """Return what keeps a node alive while its head is away."""
    if settings.hosts.alone and settings.hosts.gcs_url is None:
        return {}
    return {"RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_S)}


def node_environment(settings: ClusterSettings, base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a Ray node, head or not, from which replicas and HAProxy there take theirs."""
    sockets = settings.runtime / "ha"
    ports = settings.ports
    return (
        component_environment(settings, RAY, base)
        | haproxy_environment(settings)
        | _patience(settings)
        | {
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            # Ray gives its workers niceness 15, as batch jobs deserve. These answer payments: at 15 every other
            # process of the machine would go before each of the five replicas that a decision passes.
            "RAY_worker_niceness": "0",
            # Off: one log line a request, which a Python process parses to count what the replicas count as well.
            # It took 53 to 82 microseconds of CPU a request. HAProxy's own metrics (its metrics port) stay.
            "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
            "RAY_SERVE_HAPROXY_NBTHREAD": str(settings.haproxy_threads),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.haproxy_stats),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.haproxy_metrics),
            # Serve makes HAProxy's admin socket open to everybody (mode 666), so its folder must not be.
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(sockets / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(sockets / "metrics.sock"),
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(sockets / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(sockets),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(sockets / "server-state"),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_proxy),
            "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.ingress_first),
            "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.ingress_first + INGRESS_PORTS),
            # A load balancer in front of several machines needs 30 s to notice a replica that goes; the HAProxy
            # of this machine needs one reload, which waits for its turn while new replicas start.
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "10",
            "AUTOSCALER_METRIC_PORT": str(ports.autoscaler_metrics),
            "DASHBOARD_METRIC_PORT": str(ports.dashboard_metrics),
        }
    )
