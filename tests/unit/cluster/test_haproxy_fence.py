"""The program that Serve starts as HAProxy, with a stand-in for HAProxy that keeps what it was started with."""

import subprocess
from pathlib import Path

import pytest

from cluster import haproxy_fence

TEMPLATE = """global
    stats socket /run/admin.sock mode 666 level admin expose-fd listeners
frontend prometheus
    bind :9101
frontend http_frontend
    bind *:8000
listen stats
  bind *:8404
"""


@pytest.fixture
def fence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    haproxy = tmp_path / "the haproxy"
    haproxy.write_text('#!/bin/sh\necho "$@"\n')
    haproxy.chmod(0o700)
    monkeypatch.setattr(haproxy_fence, "_haproxy", lambda: str(haproxy))
    return haproxy_fence.write_fence(tmp_path, stats_port=8404, metrics_port=9101, loopback="127.0.0.1")


def run(fence: Path, *arguments: str) -> str:
    return subprocess.run([fence, *arguments], capture_output=True, text=True, check=True).stdout.strip()


def test_its_own_pages_are_bound_to_loopback_and_its_socket_is_closed(fence: Path, tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(TEMPLATE)
    assert run(fence, "-db", "-f", str(config), "-sf", "17") == f"-db -f {config} -sf 17"
    lines = [line.strip() for line in config.read_text().splitlines()]
    assert [line for line in lines if line.startswith("bind")] == [
        "bind 127.0.0.1:9101",
        "bind *:8000",
        "bind 127.0.0.1:8404",
    ]
    assert "stats socket /run/admin.sock mode 600 level admin expose-fd listeners" in lines


def test_the_frontend_gives_slow_heads_no_time_and_takes_serves_headers_away(fence: Path, tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(TEMPLATE)
    run(fence, "-f", str(config))
    text = config.read_text()
    frontend = text[text.index("frontend http_frontend") : text.index("listen stats")]
    for line in (
        "timeout http-request 10s",
        *(f"http-request del-header {name}" for name in haproxy_fence.STRIPPED),
    ):
        assert line in frontend


def test_without_a_configuration_it_is_haproxy(fence: Path) -> None:
    assert run(fence, "-v") == "-v"


def test_rays_package_has_an_haproxy() -> None:
    assert Path(haproxy_fence._haproxy()).is_file()
