from pathlib import Path

import pytest

from cluster.environment import component_environment
from cluster.settings import ON_ALL_INTERFACES, PICKED_BY_SERVE, Ports, settings_from
from features.errors import ClusterError, StoreRefused, TollgateError


def test_the_defaults_need_nothing_from_the_environment() -> None:
    settings = settings_from({})
    assert settings.home == Path(".tollgate").resolve()
    assert settings.http_url == "http://127.0.0.1:8000"
    assert settings.redis_url == f"redis://127.0.0.1:{settings.ports.valkey}/0"
    assert settings.mlflow_uri == "http://127.0.0.1:5000"


def test_ray_leaves_the_default_port_of_a_users_redis_alone() -> None:
    assert 6379 not in Ports().model_dump().values()


def test_every_port_can_be_moved_by_the_environment(tmp_path: Path) -> None:
    moved = {name: 21000 + n for n, name in enumerate(Ports.model_fields)}
    variables = {f"TOLLGATE_PORT_{name.upper()}": str(number) for name, number in moved.items()}
    assert settings_from(variables, home=tmp_path).ports.model_dump() == moved


def test_a_port_option_wins_over_the_environment_and_that_over_the_block() -> None:
    environment = {"TOLLGATE_PORT_HTTP": "9000", "TOLLGATE_PORT_MLFLOW": "9001"}
    ports = settings_from(environment, port_base=20000, ports=["http=9500"]).ports
    assert (ports.http, ports.mlflow, ports.valkey) == (9500, 9001, 20001)


def test_a_block_of_ports_has_no_port_twice_and_shares_none_with_the_defaults() -> None:
    block = Ports(**Ports.block(20000))
    assert not set(block.model_dump().values()) & set(Ports().model_dump().values())


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("http", "name=number"),
        ("htp=8000", "htp"),
        ("http=many", "http"),
        ("http=70000", "http=70000"),
        ("http=80", "http=80"),
        ("http=8265", "8265"),
    ],
)
def test_a_port_that_cannot_be_used_is_refused_by_name(port: str, said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        settings_from({}, ports=[port])


def test_a_port_base_that_is_no_number_is_refused() -> None:
    with pytest.raises(ClusterError, match="lots"):
        settings_from({"TOLLGATE_PORT_BASE": "lots"})


def test_external_servers_replace_the_embedded_ones_and_free_their_ports() -> None:
    settings = settings_from(
        {"TOLLGATE_REDIS_URL": "rediss://store:6379/1", "MLFLOW_TRACKING_URI": "http://registry:5000"}
    )
    assert settings.redis_url == "rediss://store:6379/1"
    assert settings.mlflow_uri == "http://registry:5000"
    assert not {"valkey", "mlflow"} & {port.name for port in settings.needed_ports()}


def test_every_port_is_checked_except_those_that_serve_picks_from_a_range() -> None:
    needed = {port.name for port in settings_from({}).needed_ports()}
    assert needed == set(Ports.model_fields) - PICKED_BY_SERVE
    assert needed >= ON_ALL_INTERFACES


def test_the_socket_folder_stays_short_however_deep_the_state_folder_is(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["folder"] * 20)
    node_id, socket = "f" * 56, "metrics.sock"
    path = settings_from({}, home=deep).runtime / "ha" / node_id / socket
    # HAProxy binds a temporary name of up to 11 more bytes first; sun_path holds 107.
    assert len(str(path)) + 11 <= 107


def test_two_state_folders_have_two_socket_folders(tmp_path: Path) -> None:
    assert settings_from({}, home=tmp_path / "a").runtime != settings_from({}, home=tmp_path / "b").runtime


def test_a_stack_is_closed_to_others_by_default() -> None:
    settings = settings_from({})
    assert (settings.host, settings.ray_auth, settings.allow_anonymous) == ("127.0.0.1", "token", False)


def test_the_keys_of_the_state_folder_are_used_once_they_are_there(tmp_path: Path) -> None:
    assert settings_from({}, home=tmp_path).api_keys_file is None
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "api_keys.yaml").touch()
    assert settings_from({}, home=tmp_path).api_keys_file == tmp_path / "secrets" / "api_keys.yaml"
    named = settings_from({"TOLLGATE_API_KEYS_FILE": "/elsewhere.yaml"}, home=tmp_path)
    assert named.api_keys_file == Path("/elsewhere.yaml")


def test_clients_of_a_stack_that_listens_everywhere_call_loopback() -> None:
    assert settings_from({}, host="0.0.0.0").http_url == "http://127.0.0.1:8000"
    assert settings_from({"TOLLGATE_HOST": "10.0.0.1"}).http_url == "http://10.0.0.1:8000"


def test_decisions_lie_in_the_home_or_in_the_folder_that_is_named(tmp_path: Path) -> None:
    assert settings_from({}, home=tmp_path).data == tmp_path / "data"
    settings = settings_from({"TOLLGATE_DATA_FOLDER": str(tmp_path / "both")}, home=tmp_path / "second")
    assert settings.data == tmp_path / "both"
    assert component_environment(settings, "ray", {})["TOLLGATE_DATA_FOLDER"] == str(tmp_path / "both")
    usual = settings_from({"TOLLGATE_DATA_FOLDER": str(tmp_path / "data")}, home=tmp_path)
    assert usual.data_folder is None, "no change that a running stack would refuse"
    assert usual == settings_from({}, home=tmp_path)


def test_a_store_elsewhere_that_is_not_encrypted_is_refused() -> None:
    settings = settings_from({"TOLLGATE_REDIS_URL": "redis://:secret@store:6379/1"})
    with pytest.raises(StoreRefused) as refused:
        _ = settings.redis_url
    assert "secret" not in str(refused.value)
    assert settings.redis_address == "redis://store:6379/1"


@pytest.mark.parametrize(
    ("variables", "ports", "said"),
    [
        ({"TOLLGATE_REDIS_URL": "127.0.0.1:6379"}, (), "is no address of a store"),
        ({"TOLLGATE_REDIS_URL": "rediss://store/0?password=hunter2"}, (), "in its query"),
        ({"MLFLOW_TRACKING_URI": "http://ada:hunter2/x@mlflow:5000"}, (), "write / and @ of user"),
        ({"TOLLGATE_REDIS_URL": "redis://:hunter2/x@store:6379/0"}, (), "is no address of a store"),
        ({"MLFLOW_TRACKING_URI": "ftp://x"}, (), "MLFLOW_TRACKING_URI must be an address of http, .* not of ftp"),
        ({"TOLLGATE_VALKEY_FSYNC": "never"}, (), "valkey_fsync: Input should be 'everysec' or 'always'"),
        ({}, ("foo=1",), "There is no port foo; there are http, valkey, mlflow, .*dashboard"),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(
    variables: dict[str, str], ports: tuple[str, ...], said: str
) -> None:
    with pytest.raises(TollgateError, match=said) as refused:
        settings_from(variables, ports=ports)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "http://x:1",
        "HTTPS://x",
        "databricks-uc://p",
        "sqlite:///a@b.db",
        "postgresql+psycopg2://a:b@c/d",
        "./mlruns",
        "databricks",
    ],
)
def test_any_registry_of_mlflow_may_be_named(uri: str) -> None:
    assert settings_from({"MLFLOW_TRACKING_URI": uri}).mlflow_uri == uri
