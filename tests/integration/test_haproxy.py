"""The script that stands for HAProxy: what it mends, and that HAProxy takes the result."""

import json
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cluster.haproxy import (
    REQUEST_S,
    WANTED_CONNECTIONS,
    haproxy_environment,
    max_connections,
    start_script,
)
from cluster.settings import ClusterSettings
from tests.integration.haproxy_texts import DEFAULTS

CONFIG = (
    DEFAULTS
    + """\
frontend front
    bind unix@{folder}/front.sock
    default_backend back
backend back
    http-request return status 404 content-type text/plain lf-string "Path \'%[path]\' not found. Ping."
"""
)


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
    head, _, body = (config.parent / "500.http").read_bytes().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nretry-after: 1" in head
    assert b"content-length: %d\r\n" % len(body) in head
    assert json.loads(body)["error"]["code"] == "unavailable"


def test_while_the_application_is_not_known_clients_are_told_to_come_again(script: Path, config: Path) -> None:
    check(script, config)
    path = config.parent / "front.sock"
    with subprocess.Popen([script, "-db", "-f", config]) as server:
        try:
            answer = ask(path, server)
        finally:
            server.terminate()
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["code"] == "unavailable"


def ask(path: Path, server: subprocess.Popen[bytes]) -> httpx.Response:
    """Ask HAProxy behind a socket as soon as it listens."""
    while not path.exists():
        assert server.poll() is None, "HAProxy has ended"
        time.sleep(0.01)  # It binds in a moment, or ends.
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://service") as client:
        while True:
            assert server.poll() is None, "HAProxy has ended"
            try:
                return client.post("/predict")
            except httpx.ConnectError:
                continue  # It listens in a moment, or ends.


def test_serve_is_told_of_the_script_and_of_bounds(settings: ClusterSettings) -> None:
    environment = haproxy_environment(settings)
    assert environment["RAY_SERVE_HAPROXY_BINARY_PATH"] == str(settings.runtime / "haproxy")
    assert {"RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S", "RAY_SERVE_HAPROXY_TIMEOUT_SERVER_S"} <= environment.keys()


def test_haproxy_takes_as_many_connections_as_the_limit_on_files_allows(script: Path, config: Path) -> None:
    connections = max_connections(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    splicing = "    option splice-request\n    option splice-response\nfrontend"
    config.write_text(
        config.read_text().replace("maxconn 100", f"maxconn {connections}").replace("frontend", splicing, 1)
    )
    with subprocess.Popen([script, "-db", "-f", config]) as server:
        try:
            assert ask(config.parent / "front.sock", server).status_code == 503
        finally:
            server.terminate()


def test_without_a_limit_on_files_the_wanted_number_is_taken() -> None:
    assert max_connections(resource.RLIM_INFINITY) == WANTED_CONNECTIONS


TEMPLATE = """global
    stats socket /run/admin.sock mode 666 level admin expose-fd listeners
defaults
frontend prometheus
    bind :{metrics}
frontend http_frontend
    bind *:8000
listen stats
  bind *:{stats}
"""


@pytest.fixture
def stand_in(settings: ClusterSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The script with a stand-in for HAProxy, which says what it was started with."""
    haproxy = tmp_path / "the haproxy"
    haproxy.write_text('#!/bin/sh\necho "$@"\n')
    haproxy.chmod(0o700)
    monkeypatch.setattr("cluster.haproxy.haproxy_binary", lambda: str(haproxy))
    settings.runtime.mkdir(mode=0o700)
    try:
        yield start_script(settings)
    finally:
        shutil.rmtree(settings.runtime)


def run(script: Path, *arguments: str) -> str:
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def test_its_own_pages_are_bound_to_loopback_and_its_socket_is_closed(
    stand_in: Path, settings: ClusterSettings, tmp_path: Path
) -> None:
    config = tmp_path / "haproxy.cfg"
    ports = settings.ports
    config.write_text(TEMPLATE.format(metrics=ports.haproxy_metrics, stats=ports.haproxy_stats))
    assert run(stand_in, "-db", "-f", str(config), "-sf", "17") == f"-db -f {config} -sf 17"
    lines = [line.strip() for line in config.read_text().splitlines()]
    assert [line for line in lines if line.startswith("bind")] == [
        f"bind 127.0.0.1:{ports.haproxy_metrics}",
        "bind *:8000",
        f"bind 127.0.0.1:{ports.haproxy_stats}",
    ]
    assert "stats socket /run/admin.sock mode 600 level admin expose-fd listeners" in lines


REPLICA = "    server replica 127.0.0.1:1 check observe layer4 error-limit 3 on-error mark-down\n"
SERVES_PROXY = "    server SERVE_PROXY_ACTOR-head 127.0.0.1:1 check backup\n"


def test_lines_for_a_syslog_server_that_nobody_has_are_not_written(stand_in: Path, tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text(
        "global\n    log 127.0.0.1:514 local0 info\n    log /dev/log local0 info\ndefaults\n    log global\n"
    )
    run(stand_in, "-f", str(path))
    logs = [line.strip() for line in path.read_text().splitlines() if "log " in line]
    assert logs == ["log /dev/log local0 info", "log global"]


def test_nothing_is_passed_on_to_serves_own_proxy(script: Path, config: Path) -> None:
    with_servers(config, REPLICA + SERVES_PROXY)
    assert check(script, config).returncode == 0
    assert [line for line in config.read_text().splitlines() if " server " in f" {line}"][-1:] == [
        REPLICA.rstrip()
    ]
    assert "SERVE_PROXY_ACTOR" not in config.read_text()


def test_where_no_replica_is_left_to_ask_clients_are_told_to_come_again(script: Path, config: Path) -> None:
    with_servers(config, SERVES_PROXY)
    with subprocess.Popen([script, "-db", "-f", config]) as server:
        try:
            answer = ask(config.parent / "front.sock", server)
        finally:
            server.terminate()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["code"] == "unavailable"


def with_servers(config: Path, servers: str) -> None:
    """Let the backend pass requests on, as Serve's does, rather than answer them itself."""
    text = config.read_text()
    config.write_text(text[: text.index("    http-request return")] + servers)


def test_without_a_configuration_it_is_haproxy(stand_in: Path) -> None:
    assert run(stand_in, "-v") == "-v"
