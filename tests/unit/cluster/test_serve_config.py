from pathlib import Path

import pytest
import yaml

from cluster.serve_config import check_config, config_to_deploy
from cluster.settings import PROJECT, ClusterSettings, Ports
from features.errors import ClusterError

CONFIG = """
http_options: {host: 127.0.0.1, port: 8000, request_timeout_s: 7}
applications: [{name: tollgate, import_path: "deployments.app:build"}]
"""


def with_config(settings: ClusterSettings, text: str, http: int) -> ClusterSettings:
    settings.config.write_text(text)
    ports = Ports(**(settings.ports.model_dump() | {"http": http}))
    return settings.model_copy(update={"ports": ports})


def test_a_config_that_names_this_stacks_address_is_deployed_as_it_is(settings: ClusterSettings) -> None:
    path, content = config_to_deploy(with_config(settings, CONFIG, http=8000))
    assert path == settings.config
    assert content == yaml.safe_load(CONFIG)


def test_another_port_is_put_into_a_copy_and_everything_else_is_kept(settings: ClusterSettings) -> None:
    path, content = config_to_deploy(with_config(settings, CONFIG, http=8123))
    assert path == settings.home / "serve_config.yaml"
    assert yaml.safe_load(path.read_text()) == content
    assert content["http_options"] == {"host": "127.0.0.1", "port": 8123, "request_timeout_s": 7}
    assert content["applications"] == yaml.safe_load(CONFIG)["applications"]
    assert settings.config.read_text() == CONFIG


def test_a_config_without_an_address_gets_that_of_this_stack(settings: ClusterSettings) -> None:
    _, content = config_to_deploy(with_config(settings, "applications: [{name: a}]", http=8123))
    assert content["http_options"] == {"host": "127.0.0.1", "port": 8123}


def test_a_missing_config_is_named(settings: ClusterSettings) -> None:
    with pytest.raises(ClusterError, match=str(settings.config)):
        config_to_deploy(settings)


@pytest.mark.parametrize("text", ["applications: [", "just words", "", "applications: []", "\x00"])
def test_a_config_that_deploys_nothing_is_refused(settings: ClusterSettings, text: str) -> None:
    settings.config.write_text(text)
    with pytest.raises(ClusterError, match=str(settings.config)):
        config_to_deploy(settings)


def test_the_config_of_the_project_is_deployed_as_it_is_on_the_default_ports(tmp_path: Path) -> None:
    config = Path(__file__).parents[3] / "serve_config.yaml"
    path, content = config_to_deploy(ClusterSettings(home=tmp_path, config=config))
    assert path == config
    assert [application["name"] for application in content["applications"]] == ["tollgate"]


def test_a_key_that_nobody_reads_is_refused_before_anything_starts(tmp_path: Path) -> None:
    check_config(PROJECT / "serve_config.yaml")
    text = (PROJECT / "serve_config.yaml").read_text()
    path = tmp_path / "typing_error.yaml"
    path.write_text(text.replace("max_ongoing_requests: 8192", "max_ongoing_request: 8192"))
    with pytest.raises(ClusterError, match=r"cannot be deployed:\n.*max_ongoing_request"):
        check_config(path)
