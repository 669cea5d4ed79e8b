"""The typed settings of a one-machine stack. The environment is read here, once, and nowhere else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from os import cpu_count
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cluster.addresses import RegistryAddress, StoreAddress
from cluster.hosts import Hosts, hosts_from
from cluster.processes import WORK_FOLDER
from deployments.ledger import folders
from features import store_address
from features.errors import ClusterError
from features.faults import all_faults
from features.store_address import public_address, store_url

PROJECT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
ALL_INTERFACES = ""
DATA = "data"
Port = int


class Ports(BaseModel):
    """Every port that the stack listens on, apart from those that Ray picks at random (10002 to 19999)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    http: Port = 8000
    valkey: Port = 6399
    mlflow: Port = 5000
    # Ray's default is 6379, which is the port of a Redis that the user may already run.
    ray_gcs: Port = 6390
    dashboard: Port = 8265
    # Ray's own defaults for the next four (52365, 10001, 44217, 44227) lie in ranges from which the kernel
    # or Ray hands out ports at random, so they can be taken by accident.
    dashboard_agent: Port = 8266
    ray_client: Port = 8267
    autoscaler_metrics: Port = 8268
    dashboard_metrics: Port = 8269
    # Of this node, for Prometheus. Ray would pick one at random.
    metrics: Port = 8270
    haproxy_stats: Port = 8404
    haproxy_metrics: Port = 9101
    fallback_proxy: Port = 8500
    # Serve gives each ingress replica a port of its own, from here up to ``INGRESS_PORTS`` further.
    ingress_first: Port = 30000

    @model_validator(mode="after")
    def _distinct_and_valid(self) -> Self:
        seen: dict[int, str] = {}
        for name, port in self.model_dump().items():
            if not 1024 <= port <= 65535 - INGRESS_PORTS:
                raise ValueError(f"port {name}={port} must lie between 1024 and {65535 - INGRESS_PORTS}")
            if port in seen:
                raise ValueError(f"{name} and {seen[port]} both want port {port}")
            seen[port] = name
        return self

    @classmethod
    def block(cls, base: int) -> dict[str, int]:
        """Give every port of a second stack from one number: base, base + 1, and so on.

        >>> Ports.block(20000)["http"], Ports.block(20000)["valkey"]
        (20000, 20001)
        """
        return {name: base + offset for offset, name in enumerate(cls.model_fields)}


INGRESS_PORTS = 1000
KEYS_FILE = "secrets/api_keys.yaml"
"""Where in the state folder the API keys are, unless TOLLGATE_API_KEYS_FILE says otherwise."""


@dataclass(frozen=True)
class NeededPort:
    """A port that must be free before the stack starts, and the interface it will be bound on."""

    name: str
    host: str
    number: int


class Waits(BaseModel):
    """How long the launcher waits for each part before it gives up, in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    valkey_s: float = 15
    # MLflow creates its SQLite schema on the first start: 12 s on two quiet cores, 60 s were seen on busy ones.
    mlflow_s: float = 180
    head_s: float = 120
    deploy_s: float = 300
    ready_s: float = 60
    serve_shutdown_s: float = 30
    process_stop_s: float = 15
    ports_s: float = 10


class ClusterSettings(BaseModel):
    """All that ``up``, ``down`` and ``status`` need to know about one stack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    config: Path
    # Of decisions and kept bundles, where it is not in the home: two stacks on one store share it.
    data_folder: Path | None = None
    ports: Ports = Ports()
    waits: Waits = Waits()
    # Where clients are let in. Ray, its dashboard, Valkey and MLflow stay on loopback, whatever this is.
    host: str = LOOPBACK
    # Ray leaves loopback where other machines are to join; its dashboard does not even then.
    hosts: Hosts = Hosts()
    redis_url_external: StoreAddress | None = None
    redis_password_file: Path | None = None
    redis_ca_file: Path | None = None
    allow_plaintext_redis: bool = False
    # When the embedded store hands what it acknowledged to the disk: each second, or before it acknowledges.
    valkey_fsync: Literal["everysec", "always"] = "everysec"
    mlflow_uri_external: RegistryAddress | None = None
    api_keys_file: Path | None = None
    allow_anonymous: bool = False
    ray_auth: Literal["token", "disabled"] = "token"
    first_model_transactions: int = Field(default=200_000, ge=1_000)
    # Serve's CPU numbers are reservations that only place replicas; they limit nothing. With the two real
    # CPUs of a laptop the graph would not be placed at all, so the head declares enough of them for every
    # deployment to scale up. The replicas then share the real cores, as processes do. None at all is for a head
    # that is to serve nothing.
    logical_cpus: int = Field(default_factory=lambda: max(16, 4 * (cpu_count() or 1)), ge=0)
    # The graph passes batches by gRPC; Ray's default of 30 % of the memory would be reserved for nothing.
    object_store_bytes: int = Field(default=200_000_000, ge=80_000_000)
    haproxy_threads: int = Field(default_factory=lambda: max(1, (cpu_count() or 1) // 2), ge=1)

    @property
    def redis_address(self) -> str:
        """Return the address of the online store as it may be shown, without a password."""
        return public_address(self.redis_url_external or f"redis://{LOOPBACK}:{self.ports.valkey}/0")

    @property
    def redis_url(self) -> str:
        """Return the address of the online store with its password, which is read from its file: a secret.

        Raises:
            StoreRefused: the store must not be reached like this.
        """
        return store_url(self.redis_address, self.store_variables)

    @property
    def store_variables(self) -> dict[str, str]:
        """Return the variables that tell a process of the stack where the online store is, and how to enter."""
        url = self.redis_url_external or self.redis_address
        variables: dict[str, str | Path | None] = {
            store_address.URL: url,
            store_address.PASSWORD_FILE: self.redis_password_file,
            store_address.CA_FILE: self.redis_ca_file,
            store_address.ALLOW_PLAINTEXT: "1" if self.allow_plaintext_redis else None,
        }
        if not self.redis_url_external and self.valkey_password_file.exists():
            variables[store_address.PASSWORD_FILE] = self.valkey_password_file
        return {name: str(value) for name, value in variables.items() if value}

    @property
    def mlflow_uri(self) -> str:
        """Return the address of the tracking server and model registry."""
        return self.mlflow_uri_external or f"http://{LOOPBACK}:{self.ports.mlflow}"

    @property
    def http_url(self) -> str:
        """Return the address that clients call."""
        everywhere = self.host in ("0.0.0.0", "::")
        return f"http://{LOOPBACK if everywhere else self.host}:{self.ports.http}"

    @property
    def dashboard_url(self) -> str:
        """Return the address of the Ray dashboard, which is also Serve's REST address."""
        return f"http://{LOOPBACK}:{self.ports.dashboard}"

    @property
    def secrets(self) -> Path:
        """Return the folder of the secrets, which this user alone can enter."""
        return self.home / "secrets"

    @property
    def ray_token_file(self) -> Path:
        """Return the file of the token that guards Ray."""
        return self.hosts.ray_token_file or self.secrets / "ray_token"

    @property
    def valkey_password_file(self) -> Path:
        """Return the file of the password of the embedded Valkey."""
        return self.secrets / "valkey_password"

    @property
    def logs(self) -> Path:
        """Return the folder of the log files that the launcher writes."""
        return self.home / "logs"

    @property
    def data(self) -> Path:
        """Return the folder of decisions (those that wait for the store, and the archive) and kept bundles."""
        return self.data_folder or self.home / DATA

    @property
    def work(self) -> Path:
        """Return the working folder of every process of this stack; it is also their second mark."""
        return self.home / WORK_FOLDER

    @property
    def runtime(self) -> Path:
        """Return the short folder that holds the sockets.

        A socket path may have 107 bytes. HAProxy appends 68 of its own and Ray more than 60, so a folder
        inside an arbitrarily deep ``home`` would be too long.
        """
        return Path("/tmp") / f"tg-{sha256(str(self.home).encode()).hexdigest()[:8]}"

    @property
    def ray_logs(self) -> Path:
        """Return the folder where Ray and Serve log while the stack runs."""
        return self.runtime / "ray" / "session_latest" / "logs"

    def needed_ports(self) -> list[NeededPort]:
        """Return the ports that this stack binds, without those of external servers."""
        external = {"valkey": self.redis_url_external, "mlflow": self.mlflow_uri_external}
        unused = OF_A_HEAD if self.hosts.is_worker else frozenset()
        return [
            # Ray's GCS and HAProxy's two service ports bind every interface and offer no choice.
            NeededPort(name, ALL_INTERFACES if name in ON_ALL_INTERFACES else LOOPBACK, number)
            for name, number in self.ports.model_dump().items()
            if name not in PICKED_BY_SERVE | unused and not external.get(name)
        ]


ON_ALL_INTERFACES = frozenset(
    {"ray_gcs", "haproxy_stats", "haproxy_metrics", "autoscaler_metrics", "dashboard_metrics", "metrics"}
)
# What a node that joins a head does not run.
OF_A_HEAD = frozenset(
    {"ray_gcs", "ray_client", "dashboard", "autoscaler_metrics", "dashboard_metrics", "fallback_proxy"}
)
# Serve tries the next port of its range when one is taken, so a neighbour there is no conflict.
PICKED_BY_SERVE = frozenset({"ingress_first"})


def settings_from(
    environment: Mapping[str, str],
    *,
    home: Path | None = None,
    config: Path | None = None,
    host: str | None = None,
    port_base: int | None = None,
    ports: Iterable[str] = (),
    transactions: int | None = None,
    node_address: str | None = None,
    head_address: str | None = None,
) -> ClusterSettings:
    """Return the settings of a stack: defaults, then the environment, then the given options.

    Args:
        environment: usually ``os.environ``; TOLLGATE_HOME, TOLLGATE_CONFIG, TOLLGATE_PORT_BASE,
            TOLLGATE_PORT_<NAME>, TOLLGATE_DATA_FOLDER, TOLLGATE_REDIS_URL, MLFLOW_TRACKING_URI are read, and those
            of access: TOLLGATE_HOST, TOLLGATE_API_KEYS_FILE, TOLLGATE_ALLOW_ANONYMOUS, TOLLGATE_RAY_AUTH, and the
            variables of :mod:`features.store_address`; of several hosts those of :mod:`cluster.hosts`, and
            TOLLGATE_LOGICAL_CPUS and TOLLGATE_VALKEY_FSYNC.
        home: the state folder.
        config: the Serve config file.
        host: address that clients are let in at.
        port_base: puts every port into one block that starts here.
        ports: single ports as ``name=number``; they win over everything else.
        transactions: how many simulated transactions the first model is trained on.
        node_address: address at which other nodes reach this machine.
        head_address: of the head that this machine joins.

    Raises:
        ClusterError: a port is unknown, not a number, out of range or given twice; an address cannot be used.
    """
    base = port_base if port_base is not None else environment.get("TOLLGATE_PORT_BASE")
    optional: dict[str, str | int] = {} if transactions is None else {"first_model_transactions": transactions}
    if cpus := environment.get("TOLLGATE_LOGICAL_CPUS"):
        optional["logical_cpus"] = cpus
    if fsync := environment.get("TOLLGATE_VALKEY_FSYNC"):
        optional["valkey_fsync"] = fsync
    folder = (home or Path(environment.get("TOLLGATE_HOME") or ".tollgate")).resolve()
    data = Path(environment.get(folders.VARIABLE) or folder / DATA).resolve()
    try:
        numbers: dict[str, str | int] = {} if base is None else {**Ports.block(int(base))}
        for name in Ports.model_fields:
            if (given := environment.get(f"TOLLGATE_PORT_{name.upper()}")) is not None:
                numbers[name] = given
        numbers |= dict(_split(port) for port in ports)
        if unknown := sorted(numbers.keys() - Ports.model_fields.keys()):
            raise ClusterError(f"There is no port {unknown[0]}; there are {', '.join(Ports.model_fields)}.")
        return ClusterSettings.model_validate(
            {
                "home": folder,
                "config": (config or _config_file(environment)).resolve(),
                "data_folder": None if data == folder / DATA else data,
                "ports": numbers,
                "redis_url_external": environment.get("TOLLGATE_REDIS_URL") or None,
                "mlflow_uri_external": environment.get("MLFLOW_TRACKING_URI") or None,
                "hosts": hosts_from(environment, node_address, head_address),
                **_access(environment, folder, host),
                **optional,
            }
        )
    except ValidationError as error:
        raise ClusterError(f"These settings cannot be used: {all_faults(error)}.") from error
    except ValueError as error:
        raise ClusterError(f"A port must be a number: {error}.") from error


def _access(environment: Mapping[str, str], home: Path, host: str | None) -> dict[str, object]:
    """Return the settings of who is let in, and how the stack enters the online store."""
    keys = environment.get("TOLLGATE_API_KEYS_FILE")
    own = home / KEYS_FILE
    files = {
        "api_keys_file": Path(keys) if keys else own if own.exists() else None,
        "redis_password_file": environment.get(store_address.PASSWORD_FILE) or None,
        "redis_ca_file": environment.get(store_address.CA_FILE) or None,
    }
    return {
        **{name: Path(file).resolve() if file else None for name, file in files.items()},
        "host": host or environment.get("TOLLGATE_HOST") or LOOPBACK,
        "allow_anonymous": environment.get("TOLLGATE_ALLOW_ANONYMOUS") == "1",
        "allow_plaintext_redis": environment.get(store_address.ALLOW_PLAINTEXT) == "1",
        "ray_auth": environment.get("TOLLGATE_RAY_AUTH") or "token",
    }


def _split(port: str) -> tuple[str, str]:
    name, sign, number = port.partition("=")
    if not sign:
        raise ClusterError(f"A port is given as name=number, for example http=8080; this was {port!r}.")
    return name, number


def _config_file(environment: Mapping[str, str]) -> Path:
    if given := environment.get("TOLLGATE_CONFIG"):
        return Path(given)
    here = Path("serve_config.yaml")
    return here if here.exists() else PROJECT / "serve_config.yaml"
