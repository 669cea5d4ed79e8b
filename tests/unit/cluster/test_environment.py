from cluster.environment import component_environment, head_environment, node_environment
from cluster.hosts import Hosts
from cluster.processes import COMPONENT, MARK, RAY
from cluster.secret_files import make_secret, read_secret
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


def test_ray_is_guarded_by_a_token_in_a_file_whatever_the_calling_shell_says(settings: ClusterSettings) -> None:
    shell = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "another", "RAY_AUTH_TOKEN_PATH": "/another"}
    environment = head_environment(settings, shell)
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(settings.ray_token_file)
    assert "RAY_AUTH_TOKEN" not in environment


def test_no_secret_of_the_stack_is_in_the_environment_but_where_it_lies(settings: ClusterSettings) -> None:
    for file in (settings.ray_token_file, settings.valkey_password_file):
        make_secret(file)
    locked = settings.model_copy(update={"api_keys_file": settings.secrets / "api_keys.yaml"})
    environment = head_environment(locked, {})
    assert environment["TOLLGATE_REDIS_PASSWORD_FILE"] == str(settings.valkey_password_file)
    assert environment["TOLLGATE_API_KEYS_FILE"] == str(locked.api_keys_file)
    secrets = [read_secret(file) for file in (settings.ray_token_file, settings.valkey_password_file)]
    assert not [name for name, value in environment.items() if any(secret in value for secret in secrets)]


def test_ray_stays_on_loopback_unless_other_machines_are_let_in(settings: ClusterSettings) -> None:
    several = settings.model_copy(update={"hosts": Hosts(node_address="10.0.0.1")})
    variable = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    assert node_environment(settings, {variable: "1"})[variable] == "0"
    assert node_environment(several, {})[variable] == "1"


def test_the_nodes_of_several_hosts_wait_for_a_head_that_is_away(settings: ClusterSettings) -> None:
    variable = "RAY_gcs_rpc_server_reconnect_timeout_s"
    several = settings.model_copy(update={"hosts": Hosts(node_address="10.0.0.1")})
    kept = settings.model_copy(update={"hosts": Hosts(gcs_url="redis://127.0.0.1:1")})
    assert variable not in node_environment(settings, {})
    assert node_environment(several, {})[variable] == node_environment(kept, {})[variable] == "600"


def test_the_head_alone_is_told_where_rays_state_is_kept_and_by_a_file_how_to_enter(
    settings: ClusterSettings,
) -> None:
    password = settings.secrets / "gcs_password"
    hosts = Hosts(gcs_url="redis://127.0.0.1:6398", gcs_password_file=password, gcs_namespace="mine")
    kept = settings.model_copy(update={"hosts": hosts})
    shell = {"RAY_REDIS_ADDRESS": "another", "RAY_REDIS_PASSWORD": "another"}
    told = {
        "RAY_REDIS_ADDRESS": "redis://127.0.0.1:6398",
        "RAY_external_storage_namespace": "mine",
        "TOLLGATE_GCS_PASSWORD_FILE": str(password),
    }
    environment = head_environment(kept, shell)
    assert told.items() <= environment.items()
    assert "RAY_REDIS_PASSWORD" not in environment
    assert not told.keys() & node_environment(kept, shell).keys()
    assert not told.keys() & head_environment(settings, shell).keys()
