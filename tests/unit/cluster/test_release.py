"""Which release a node may be of, as the head says in a real store."""

from collections.abc import Iterator
from os import environ

import pytest
from rich.console import Console

from cluster import valkey
from cluster.hosts import Hosts
from cluster.join import join
from cluster.processes import owned_by, stop
from cluster.release import check_same_features, tell_nodes
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from features.definitions import fingerprint
from features.errors import ClusterError

OTHER = "0123456789abcdef"


@pytest.fixture
def head(settings: ClusterSettings) -> Iterator[ClusterSettings]:
    """A head whose store is up."""
    valkey.start_valkey(settings, environ)
    yield settings.model_copy(update={"hosts": Hosts(node_address="10.0.0.1")})
    stop(owned_by(settings.home), grace_s=10)


def worker_of(head: ClusterSettings, host: str = "10.0.0.1") -> ClusterSettings:
    hosts = Hosts(node_address="10.0.0.2", head_address=f"{host}:{head.ports.ray_gcs}")
    return head.model_copy(update={"hosts": hosts})


def test_a_node_of_the_same_release_may_join_and_one_of_another_may_not(
    head: ClusterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell_nodes(head)
    check_same_features(worker_of(head))
    monkeypatch.setattr("cluster.release.fingerprint", lambda: OTHER)
    with pytest.raises(ClusterError, match=f"definitions {fingerprint()}, this machine's release {OTHER}"):
        check_same_features(worker_of(head))
    tell_nodes(head)  # Once the head is of that release, too.
    check_same_features(worker_of(head))


def test_a_head_of_an_earlier_release_has_said_nothing(head: ClusterSettings) -> None:
    check_same_features(worker_of(head))


def test_a_head_is_found_by_its_name(head: ClusterSettings) -> None:
    with valkey.client_of(head.redis_url) as client:
        client.hset("tg:heads", f"127.0.0.1:{head.ports.ray_gcs}", OTHER)
    with pytest.raises(ClusterError, match=OTHER):
        check_same_features(worker_of(head, "127.0.0.1"))
    with pytest.raises(ClusterError, match=OTHER):
        check_same_features(worker_of(head, "localhost"))


def test_a_machine_alone_has_no_nodes_to_tell(settings: ClusterSettings) -> None:
    tell_nodes(settings)  # Of its store, which is not up, it asks nothing.


def test_a_node_of_another_release_does_not_join(head: ClusterSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("check_shared_servers", "check_head"):
        monkeypatch.setattr(f"cluster.join.{name}", lambda _: None)
    tell_nodes(head)
    monkeypatch.setattr("cluster.release.fingerprint", lambda: OTHER)
    with pytest.raises(ClusterError, match="Install the release of the head here"):
        join(worker_of(head).model_copy(update={"allow_anonymous": True}), environ, Steps(Console(quiet=True)))


def test_a_store_that_is_away_is_said_in_a_sentence(settings: ClusterSettings) -> None:
    head = settings.model_copy(update={"hosts": Hosts(node_address="10.0.0.1")})
    with pytest.raises(ClusterError, match=r"The store at .* does not answer"):
        tell_nodes(head)
    with pytest.raises(ClusterError, match=r"The store at .* does not answer"):
        check_same_features(worker_of(head))
