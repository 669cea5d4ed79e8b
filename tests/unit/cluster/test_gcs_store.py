"""The store of Ray's head, as the launcher sees it before Ray does."""

from collections.abc import Iterator
from os import environ
from pathlib import Path

import pytest

from cluster import valkey
from cluster.environment import head_environment
from cluster.gcs_store import SHUTTING_DOWN, check_gcs_store, forget_unfinished_shutdown
from cluster.hosts import GCS_CA_FILE, Hosts, hosts_from
from cluster.processes import owned_by, stop
from cluster.secret_files import make_secret
from cluster.settings import ClusterSettings
from features.errors import ClusterError, StoreRefused


def with_hosts(settings: ClusterSettings, hosts: Hosts) -> ClusterSettings:
    return settings.model_copy(update={"hosts": hosts})


@pytest.fixture
def with_store(settings: ClusterSettings) -> Iterator[ClusterSettings]:
    """Settings whose head keeps its state in a real store."""
    valkey.start_valkey(settings, environ)
    url = f"redis://127.0.0.1:{settings.ports.valkey}"
    yield with_hosts(settings, Hosts(gcs_url=url, gcs_password_file=settings.valkey_password_file))
    stop(owned_by(settings.home), grace_s=10)


def test_the_password_of_rays_store_does_not_cross_the_network_in_the_clear(settings: ClusterSettings) -> None:
    with pytest.raises(StoreRefused, match="in the clear"):
        check_gcs_store(with_hosts(settings, Hosts(gcs_url="redis://gcs.example:6379")), {})


def test_a_store_of_ray_that_does_not_answer_is_named(settings: ClusterSettings) -> None:
    missing = Hosts(gcs_url=f"redis://127.0.0.1:{settings.ports.valkey}")
    with pytest.raises(ClusterError, match=r"No Redis answers .*TOLLGATE_GCS_URL"):
        check_gcs_store(with_hosts(settings, missing), {})


def test_a_store_of_ray_that_refuses_the_password_is_named(with_store: ClusterSettings, tmp_path: Path) -> None:
    check_gcs_store(with_store, {})
    wrong = tmp_path / "wrong"
    make_secret(wrong)
    hosts = with_store.hosts.model_copy(update={"gcs_password_file": wrong})
    with pytest.raises(ClusterError, match="refuses the password of TOLLGATE_GCS_PASSWORD_FILE"):
        check_gcs_store(with_hosts(with_store, hosts), {})


def test_the_authority_of_a_store_of_ray_is_told_to_ray_and_tried_before(
    settings: ClusterSettings, tmp_path: Path
) -> None:
    url = f"rediss://127.0.0.1:{settings.ports.valkey}"
    hosts = hosts_from({"TOLLGATE_GCS_URL": url, GCS_CA_FILE: str(tmp_path / "ca.pem")}, None, None)
    assert head_environment(with_hosts(settings, hosts), {})["RAY_REDIS_CA_CERT"] == str(tmp_path / "ca.pem")
    with pytest.raises(ClusterError, match=GCS_CA_FILE):
        check_gcs_store(with_hosts(settings, hosts), {})


def test_what_a_shutdown_left_that_was_cut_off_is_removed(with_store: ClusterSettings) -> None:
    assert not forget_unfinished_shutdown(with_store)
    with valkey.client_of(with_store.redis_url) as client:
        client.hset("RAYtollgate@KV", mapping={"@namespace_serve:checkpoint": "1"})
        client.hset("RAYtollgate@NODE", mapping={"a": "1"})
        client.hset("RAYother@KV", mapping={f"@namespace_serve:{SHUTTING_DOWN}": "1"})
        assert not forget_unfinished_shutdown(with_store)
        assert client.dbsize() == 3
        client.hset("RAYtollgate@KV", mapping={f"@namespace_serve:{SHUTTING_DOWN}": "1"})
        assert forget_unfinished_shutdown(with_store)
        assert client.keys() == ["RAYother@KV"]


def test_without_a_store_of_ray_nothing_is_removed(settings: ClusterSettings) -> None:
    assert not forget_unfinished_shutdown(settings)
