import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from os import environ
from pathlib import Path

import grpc  # type: ignore[import-untyped]
import pytest
from rich.console import Console

from cluster import valkey
from cluster.hosts import Hosts
from cluster.join import join
from cluster.processes import owned_by, stop
from cluster.reach import address_towards, check_head, check_keys, check_shared_servers
from cluster.secret_files import make_secret
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from features.errors import ClusterError, InvalidKeys

STORE, REGISTRY = "rediss://store.example:6379/0", "https://models.example"


def with_hosts(settings: ClusterSettings, hosts: Hosts, **values: object) -> ClusterSettings:
    return settings.model_copy(update={"hosts": hosts, **values})


def of_several_hosts(settings: ClusterSettings, **values: object) -> ClusterSettings:
    given = {"host": "0.0.0.0", "redis_url_external": STORE, "mlflow_uri_external": REGISTRY}
    return settings.model_copy(update={"hosts": Hosts(node_address="10.0.0.1")} | given | values)


def test_one_machine_alone_may_have_servers_of_its_own(settings: ClusterSettings) -> None:
    check_shared_servers(settings)


def test_several_hosts_with_servers_that_all_reach_are_accepted(settings: ClusterSettings) -> None:
    check_shared_servers(of_several_hosts(settings))
    check_shared_servers(of_several_hosts(settings, mlflow_uri_external="sqlite:////shared/mlflow.db"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"redis_url_external": None}, "set TOLLGATE_REDIS_URL"),
        ({"redis_url_external": "redis://127.0.0.1:6379"}, "TOLLGATE_REDIS_URL names 127.0.0.1"),
        ({"mlflow_uri_external": None}, "set MLFLOW_TRACKING_URI"),
        ({"mlflow_uri_external": "http://localhost:5000"}, "MLFLOW_TRACKING_URI names localhost"),
        ({"host": "127.0.0.1"}, "--host 0.0.0.0"),
    ],
)
def test_what_only_this_machine_reaches_is_refused(
    settings: ClusterSettings, values: dict[str, object], words: str
) -> None:
    with pytest.raises(ClusterError, match=words):
        check_shared_servers(of_several_hosts(settings, **values))


def test_keys_that_cannot_be_read_are_told_before_anything_starts(
    settings: ClusterSettings, tmp_path: Path
) -> None:
    check_keys(settings)
    with pytest.raises(InvalidKeys, match="No such file"):
        check_keys(settings.model_copy(update={"api_keys_file": tmp_path / "missing.yaml"}))


def test_a_worker_without_the_token_is_told_where_it_is(settings: ClusterSettings) -> None:
    with pytest.raises(ClusterError, match="Copy it from the head"):
        check_head(with_hosts(settings, Hosts(head_address="10.0.0.1:6390")))


def test_a_head_that_does_not_answer_is_named(settings: ClusterSettings) -> None:
    make_secret(settings.ray_token_file)
    address = f"127.0.0.1:{settings.ports.ray_gcs}"
    with pytest.raises(ClusterError, match=f"No Ray head answers at {address}"):
        check_head(with_hosts(settings, Hosts(head_address=address)))


@pytest.fixture
def head() -> Iterator[Hosts]:
    """A worker's settings, with a server of gRPC in the place of a head."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield Hosts(head_address=f"127.0.0.1:{port}")
    server.stop(None).wait()


def test_what_is_no_head_is_told_at_once(
    settings: ClusterSettings, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.reach.CONNECT_S", 1.0)
    make_secret(settings.ray_token_file)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(ClusterError, match=f"What answers at {address} is no Ray head"):
        check_head(with_hosts(settings, Hosts(head_address=address)))


def test_a_store_that_the_worker_does_not_reach_is_named(settings: ClusterSettings, head: Hosts) -> None:
    make_secret(settings.ray_token_file)
    with pytest.raises(ClusterError, match=r"No Redis answers .*TOLLGATE_REDIS_URL"):
        check_head(with_hosts(settings, head))


def test_a_store_that_refuses_the_worker_says_so(settings: ClusterSettings, head: Hosts) -> None:
    make_secret(settings.ray_token_file)
    valkey.start_valkey(settings, environ)
    try:
        wrong = f"redis://:wrong@127.0.0.1:{settings.ports.valkey}/0"
        with pytest.raises(ClusterError, match=r"TOLLGATE_REDIS_URL\) refuses the password"):
            check_head(with_hosts(settings, head, redis_url_external=wrong))
    finally:
        stop(owned_by(settings.home), grace_s=10)


def test_the_address_of_this_machine_is_the_one_on_the_way_to_the_head() -> None:
    assert address_towards("127.0.0.1:6390") == "127.0.0.1"


def test_a_head_without_a_way_to_it_is_told() -> None:
    with pytest.raises(ClusterError, match=r"no way to head\.invalid:6390"):
        address_towards("head.invalid:6390")


def test_a_node_that_finds_no_head_has_made_the_folders_that_it_writes_to(settings: ClusterSettings) -> None:
    make_secret(settings.ray_token_file)
    nobody = Hosts(node_address="10.0.0.2", head_address=f"127.0.0.1:{settings.ports.ray_gcs}")
    node = of_several_hosts(settings, hosts=nobody, allow_anonymous=True, data_folder=settings.home / "decisions")
    with pytest.raises(ClusterError, match="No Ray head answers"):
        join(node, environ, Steps(Console(quiet=True)))
    assert node.data.is_dir()
