"""``tollgate status``: what of a stack stands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import redis

from cluster import head, registry, valkey, worker
from cluster.serve_rest import applications
from cluster.settings import ClusterSettings
from features.errors import ClusterError
from features.store_address import public_address
from training.api_key import key_headers

READY_TIMEOUT_S = 5.0
LEFT = "Expected termination"
"""How Ray's word begins for a node that left on purpose."""


@dataclass(frozen=True)
class Part:
    """One line of the status: a part of the stack, whether it is up, and what there is to say about it."""

    name: str
    up: bool
    detail: str
    address: str = ""


def status(settings: ClusterSettings) -> list[Part]:
    """Return every part of the stack. Ask each server once, with a short time limit; change nothing."""
    looks: list[tuple[str, Callable[[ClusterSettings], Iterator[Part]]]] = [
        ("Online store", _online_store),
        ("Model registry", _registry),
        *([("Ray", _worker)] if settings.hosts.is_worker else [("Ray", _ray), ("Serve", _serve)]),
        ("Readiness", _ready),
    ]
    parts: list[Part] = []
    for name, look in looks:
        try:
            parts += look(settings)
        except ClusterError as error:
            parts.append(Part(name, False, str(error)))
    return parts


def _online_store(settings: ClusterSettings) -> Iterator[Part]:
    address = settings.redis_address
    try:
        with valkey.client_of(settings.redis_url) as client:
            info = client.info()
            keys = client.dbsize()
    except redis.RedisError as error:
        yield Part("Online store", False, str(error), address)
        return
    version = info.get("valkey_version") or info["redis_version"]
    name = "Valkey" if "valkey_version" in info else "Redis"
    yield Part("Online store", True, f"{name} {version}, {info['used_memory_human']} used, {keys:,} keys", address)


def _registry(settings: ClusterSettings) -> Iterator[Part]:
    champion = registry.champion(settings.mlflow_uri)
    detail = f"champion is version {champion.version}" if champion else "no champion; run `tollgate train`"
    if champion and not champion.fits:
        detail += ", whose features this release does not compute (docs/operations.md: Upgrading)"
    yield Part("Model registry", champion is not None, detail, public_address(settings.mlflow_uri))


def _ray(settings: ClusterSettings) -> Iterator[Part]:
    found = head.nodes(settings)
    alive = {node["node_ip"] for node in found if node["state"] == "ALIVE"}
    for node in found:
        # Ray remembers nodes that left, and those whose machine has come back as another one.
        left = (node.get("state_message") or "").startswith(LEFT)
        if node["state"] != "ALIVE" and (left or node["node_ip"] in alive):
            continue
        total = node.get("resources_total", {})
        detail = f"{node['state']}, {total.get('CPU', 0):g} logical CPUs, {total.get('memory', 0) / 2**30:.1f} GiB"
        yield Part(f"Ray node {node['node_ip']}", node["state"] == "ALIVE", detail, settings.dashboard_url)


def _worker(settings: ClusterSettings) -> Iterator[Part]:
    up = worker.is_up(settings)
    detail = (
        f"joined the head at {settings.hosts.head_address}" if up else "not running; run `tollgate join` again"
    )
    yield Part("Ray worker node", up, detail, settings.hosts.node_address or "")


def _serve(settings: ClusterSettings) -> Iterator[Part]:
    found = applications(settings, timeout_s=READY_TIMEOUT_S)
    if not found:
        yield Part("Serve", False, "nothing is deployed; run `tollgate up`")
    for application in found:
        name = f"Application {application.name}"
        detail = " ".join([application.status, application.message]).strip()
        yield Part(name, application.status == "RUNNING", detail, settings.http_url)
        for one in application.deployments:
            # A replica that cannot begin says so with its whole traceback, of which the end is the reason.
            reason = one.message.strip().rpartition("\n")[2]
            detail = f"{one.status}, {one.replicas} of {one.wanted} replicas {reason}".strip()
            yield Part(f"  {one.name}", one.status == "HEALTHY" and one.replicas >= one.wanted, detail)


def _ready(settings: ClusterSettings) -> Iterator[Part]:
    url = f"{settings.http_url}/ready"
    try:
        answer = httpx.get(url, headers=key_headers(), timeout=READY_TIMEOUT_S)
    except httpx.TransportError as error:
        yield Part("Readiness", False, str(error), url)
        return
    yield Part("Readiness", answer.is_success, "ready" if answer.is_success else "not ready", url)
    yield from _dependencies(answer)


def _dependencies(answer: httpx.Response) -> Iterator[Part]:
    """Yield one part a dependency, if the answer of GET /ready names them."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return
    for name, state in answer.json().get("dependencies", {}).items():
        problem = state.get("problem", "")
        detail = f"{state['detail']}; {problem}" if problem else state["detail"]
        yield Part(f"  {name}", bool(state["ok"]) and not problem, detail)
