from cluster.hosts import Hosts
from cluster.settings import ClusterSettings
from cluster.worker import is_up, worker_command
from tests.unit.cluster.conftest import Start


def worker_settings(settings: ClusterSettings) -> ClusterSettings:
    hosts = Hosts(node_address="10.0.0.2", head_address="10.0.0.1:6390")
    return settings.model_copy(update={"hosts": hosts})


def test_a_worker_joins_the_head_at_its_own_address_with_a_folder_of_its_own(settings: ClusterSettings) -> None:
    command = worker_command(worker_settings(settings))
    assert "--head" not in command
    for option, value in (
        ("--address", "10.0.0.1:6390"),
        ("--node-ip-address", "10.0.0.2"),
        ("--temp-dir", str(settings.runtime / "ray")),
    ):
        assert command[command.index(option) + 1] == value


def test_a_worker_is_up_while_its_raylet_lives(settings: ClusterSettings, start: Start) -> None:
    start(home=settings.home)
    assert not is_up(settings)


def test_a_worker_needs_no_port_of_a_head_free(settings: ClusterSettings) -> None:
    needed = {port.name for port in worker_settings(settings).needed_ports()}
    assert not needed & {"ray_gcs", "dashboard", "ray_client", "fallback_proxy"}
    assert {"http", "dashboard_agent", "haproxy_stats"} <= needed
