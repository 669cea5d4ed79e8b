from pathlib import Path

import pytest

from cluster.head import head_command, keep_logs, make_private
from cluster.hosts import Hosts
from cluster.settings import ClusterSettings
from features.errors import ClusterError


def test_the_socket_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "sockets"
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    make_private(folder)


def test_a_socket_folder_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sockets"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(ClusterError, match="0700"):
        make_private(folder)


def test_a_link_in_place_of_the_socket_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    link = tmp_path / "sockets"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ClusterError, match="0700"):
        make_private(link)


def test_the_last_logs_outlive_the_socket_folder(settings: ClusterSettings) -> None:
    settings.ray_logs.mkdir(parents=True)
    try:
        (settings.ray_logs / "serve.log").write_text("it broke")
        keep_logs(settings)
        assert (settings.logs / "ray" / "serve.log").read_text() == "it broke"
        assert not settings.runtime.exists()
    finally:
        keep_logs(settings)


def test_the_head_gives_its_address_to_other_machines_only_when_they_are_let_in(settings: ClusterSettings) -> None:
    assert "--node-ip-address" not in head_command(settings)
    several = settings.model_copy(update={"hosts": Hosts(node_address="10.0.0.1")})
    command = head_command(several)
    assert command[command.index("--node-ip-address") + 1] == "10.0.0.1"
    assert command[command.index("--dashboard-host") + 1] == "127.0.0.1"
