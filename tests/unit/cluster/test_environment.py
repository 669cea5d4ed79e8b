from cluster.environment import component_environment, head_environment
from cluster.processes import COMPONENT, MARK, RAY
from cluster.settings import PROJECT, ClusterSettings


def test_every_part_carries_the_mark_and_the_addresses(settings: ClusterSettings) -> None:
    environment = component_environment(settings, "valkey", {"PATH": "/bin"})
    assert environment[MARK] == str(settings.home)
    assert environment[COMPONENT] == "valkey"
    assert environment["TOLLGATE_REDIS_URL"] == settings.redis_url
    assert environment["MLFLOW_TRACKING_URI"] == settings.mlflow_uri
    assert environment["PATH"] == "/bin"


def test_a_ray_address_of_the_calling_shell_is_not_passed_on(settings: ClusterSettings) -> None:
    assert "RAY_ADDRESS" not in head_environment(settings, {"RAY_ADDRESS": "10.0.0.1:6379"})


def test_the_project_comes_first_on_the_python_path_and_the_users_path_is_kept(
    settings: ClusterSettings,
) -> None:
    environment = component_environment(settings, "ray", {"PYTHONPATH": "/elsewhere"})
    assert environment["PYTHONPATH"].split(":") == [str(PROJECT), "/elsewhere"]


def test_the_head_alone_gets_both_switches_of_the_high_throughput_mode(settings: ClusterSettings) -> None:
    switches = {"RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_THROUGHPUT_OPTIMIZED"}
    assert switches <= head_environment(settings, {}).keys()
    assert not switches & component_environment(settings, "training", {}).keys()


def test_every_socket_and_file_of_haproxy_lies_in_the_private_folder(settings: ClusterSettings) -> None:
    paths = [
        value
        for name, value in head_environment(settings, {}).items()
        if name.startswith("RAY_SERVE_HAPROXY") and value.startswith("/")
    ]
    assert len(paths) == 6
    assert all(path.startswith(str(settings.runtime)) for path in paths)


def test_the_heads_processes_are_told_apart_from_training(settings: ClusterSettings) -> None:
    assert head_environment(settings, {})[COMPONENT] == RAY
