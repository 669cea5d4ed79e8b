import pytest
from pydantic import ValidationError

from cluster.hosts import Hosts, hosts_from


def test_by_default_no_other_machine_joins() -> None:
    hosts = hosts_from({}, None, None)
    assert hosts == Hosts()
    assert hosts.alone
    assert not hosts.is_worker


def test_a_loopback_address_is_no_way_in_for_another_machine() -> None:
    assert Hosts(node_address="127.0.0.1").alone
    assert not Hosts(node_address="10.0.0.1").alone


def test_an_option_wins_over_the_environment() -> None:
    environment = {"TOLLGATE_NODE_ADDRESS": "10.0.0.1"}
    assert hosts_from(environment, None, None).node_address == "10.0.0.1"
    assert hosts_from(environment, "10.0.0.2", "10.0.0.9:6390").node_address == "10.0.0.2"


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "head.example", ""])
def test_a_node_address_is_one_at_which_others_find_the_machine(address: str) -> None:
    with pytest.raises(ValidationError):
        Hosts(node_address=address)


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.1:", ":6390", "10.0.0.1:x", "10.0.0.1:70000"])
def test_the_address_of_a_head_has_a_host_and_a_port(address: str) -> None:
    with pytest.raises(ValidationError, match="host:port"):
        Hosts(head_address=address)


def test_rays_store_is_named_as_ray_reads_it() -> None:
    assert Hosts(gcs_url="rediss://gcs.example:6380/0").gcs_address == "rediss://gcs.example:6380"
    assert Hosts().gcs_address is None


@pytest.mark.parametrize("url", ["redis://:secret@gcs:6379", "redis://ada@gcs:6379"])
def test_a_password_of_rays_store_belongs_into_a_file(url: str) -> None:
    with pytest.raises(ValidationError, match="TOLLGATE_GCS_PASSWORD_FILE"):
        Hosts(gcs_url=url)


@pytest.mark.parametrize("url", ["gcs:6379", "http://gcs:6379", "redis://gcs"])
def test_an_address_of_rays_store_without_scheme_or_port_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="redis://host:port"):
        Hosts(gcs_url=url)
