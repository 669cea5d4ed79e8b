import shutil

import pytest

from cluster import worker
from cluster.hosts import Hosts
from cluster.settings import ClusterSettings
from cluster.worker import is_up, worker_command
from features.errors import ClusterError
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


@pytest.mark.parametrize(
    ("said", "words", "attempts"),
    [
        ("ray.exceptions.AuthenticationError: RPC error: InvalidAuthToken: is missing", "refuses the token of", 1),
        ("RuntimeError: Version mismatch: The cluster was started with:", "another version of Ray", 1),
        ("the agents were too slow", "did not join the head at 10.0.0.1:6390; see", 2),
    ],
)
def test_why_a_worker_did_not_join_is_told_where_ray_says_it(
    settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch, said: str, words: str, attempts: int
) -> None:
    runs = 0

    def ray_start(settings: ClusterSettings, *_: object) -> bool:
        nonlocal runs
        runs += 1
        with (settings.logs / "ray-start.log").open("a") as log:
            log.write(said)
        return False

    settings.logs.mkdir(parents=True, exist_ok=True)
    # What an earlier run wrote is not what is wrong now.
    (settings.logs / "ray-start.log").write_text("InvalidAuthToken Version mismatch: ")
    monkeypatch.setattr(worker, "run_ray_start", ray_start)
    try:
        with pytest.raises(ClusterError, match=words):
            worker.start_worker(worker_settings(settings), {})
    finally:
        shutil.rmtree(settings.runtime)
    assert runs == attempts


def test_a_worker_is_up_while_its_raylet_lives(settings: ClusterSettings, start: Start) -> None:
    start(home=settings.home)
    assert not is_up(settings)


def test_a_worker_needs_no_port_of_a_head_free(settings: ClusterSettings) -> None:
    needed = {port.name for port in worker_settings(settings).needed_ports()}
    assert not needed & {"ray_gcs", "dashboard", "ray_client", "fallback_proxy"}
    assert {"http", "dashboard_agent", "haproxy_stats"} <= needed
