"""The script that stands for HAProxy: what it mends, and that HAProxy takes the result."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.haproxy import REQUEST_S, haproxy_environment, max_connections, start_script, unavailable
from cluster.settings import ClusterSettings

CONFIG = """\
global
    maxconn 100
defaults
    mode http
    timeout connect 5s
    timeout client 90s
    timeout server 90s
    errorfile 503 {folder}/500.http
frontend front
    bind unix@{folder}/front.sock
    default_backend back
backend back
    server none 127.0.0.1:1
"""


@pytest.fixture
def script(settings: ClusterSettings) -> Iterator[Path]:
    settings.runtime.mkdir(mode=0o700)
    try:
        yield start_script(settings)
    finally:
        shutil.rmtree(settings.runtime)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "haproxy.cfg"
    path.write_text(CONFIG.format(folder=tmp_path))
    (tmp_path / "500.http").write_text("HTTP/1.1 500 Internal Server Error\r\n\r\n")
    return path


def check(script: Path, config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, "-c", "-db", "-f", config], capture_output=True, text=True, check=False, timeout=60
    )


def test_haproxy_takes_the_mended_configuration(script: Path, config: Path) -> None:
    checked = check(script, config)
    assert checked.returncode == 0, checked.stderr
    assert f"defaults\n    timeout http-request {REQUEST_S}s\n" in config.read_text()


def test_what_is_mended_already_stays_as_it_is(script: Path, config: Path) -> None:
    check(script, config)
    once = config.read_text()
    check(script, config)
    assert config.read_text() == once


def test_while_no_replica_is_up_clients_are_told_to_come_again(script: Path, config: Path) -> None:
    check(script, config)
    assert (config.parent / "500.http").read_bytes() == unavailable()
    head, _, body = unavailable().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1" in head
    assert b"content-length: %d\r\n" % len(body) in head
    assert json.loads(body)["error"]["code"] == "unavailable"


def test_serve_is_told_of_the_script_and_of_bounds(settings: ClusterSettings) -> None:
    environment = haproxy_environment(settings)
    assert environment["RAY_SERVE_HAPROXY_BINARY_PATH"] == str(settings.runtime / "haproxy")
    assert {"RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S", "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S"} <= environment.keys()


def test_connections_need_two_files_each() -> None:
    assert 2 * max_connections(20_000) < 20_000
    assert max_connections(-1) == 20_000
