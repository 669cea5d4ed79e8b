"""The client of the store: connections that end, commands that are given up, scripts that are not known."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from features.store_client import StoreClient, StoreScript
from tests.unit.databases import emptied

DATABASE = 9


@pytest.fixture
def store(valkey_socket: str) -> Iterator[Any]:
    with emptied(valkey_socket, DATABASE) as client:
        yield client


@pytest.fixture
async def client(valkey_socket: str, store: Any) -> AsyncIterator[StoreClient]:  # noqa: ARG001 - empties it
    client = StoreClient(f"unix://{valkey_socket}?db={DATABASE}")
    yield client
    await client.close()


def eventually(holds: Callable[[], bool]) -> None:
    """Return once something holds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def connections(store: Any) -> list[dict[str, str]]:
    """Return the connections to this database but the one that asks."""
    own = str(store.client_id())
    return [each for each in store.client_list() if each["db"] == str(DATABASE) and each["id"] != own]


async def test_bytes_come_as_bytes_and_nothing_as_none(client: StoreClient) -> None:
    assert await client.ask("SET", b"k", b"\xff\n") == b"OK"
    assert await client.ask("GET", b"k") == b"\xff\n"
    assert await client.ask("GET", b"none") is None


async def test_one_connection_serves_one_command_after_the_other(client: StoreClient, store: Any) -> None:
    for _ in range(5):
        await client.ask("PING")
    assert len(connections(store)) == 1


async def test_commands_under_way_do_not_wait_for_each_other(client: StoreClient, store: Any) -> None:
    waiting = asyncio.create_task(client.ask("BLPOP", "list", 10))
    await asyncio.to_thread(eventually, lambda: any(each["cmd"] == "blpop" for each in connections(store)))
    assert await client.ask("RPUSH", "list", "item") == 1
    assert await waiting == [b"list", b"item"]


async def test_a_connection_that_the_server_ended_is_made_anew(client: StoreClient, store: Any) -> None:
    await asyncio.gather(*(client.ask("BLPOP", "none", 0.05) for _ in range(3)))
    for each in connections(store):
        store.client_kill_filter(_id=each["id"])
    assert await asyncio.gather(*(client.ask("PING") for _ in range(3))) == [b"PONG"] * 3


async def test_a_connection_that_timed_out_unnoticed_is_made_anew(
    client: StoreClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.ask("PING")
    write, times = asyncio.StreamWriter.writelines, iter([TimeoutError(110, "Connection timed out")])

    def timed_out_once(writer: asyncio.StreamWriter, data: Any) -> None:
        for error in times:  # As the kernel says it of a peer that stopped to answer its probes.
            raise error
        write(writer, data)

    monkeypatch.setattr(asyncio.StreamWriter, "writelines", timed_out_once)
    assert await client.ask("PING") == b"PONG"


async def test_an_answer_that_nobody_waits_for_any_more_reaches_nobody_else(client: StoreClient) -> None:
    await client.ask("SET", "late", "late")
    for _ in range(20):
        with suppress(TimeoutError):
            async with asyncio.timeout(0.0001):
                await client.ask("GET", "late")
        assert await client.ask("PING") == b"PONG"


async def test_what_the_server_refuses_is_said_and_costs_no_connection(client: StoreClient, store: Any) -> None:
    await client.ask("SET", "text", "a")
    before = connections(store)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        await client.ask("RPUSH", "text", "b")
    assert await client.ask("GET", "text") == b"a"
    assert [each["id"] for each in connections(store)] == [each["id"] for each in before]


async def test_a_server_that_is_not_there_is_asked_twice_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = StoreClient(f"unix://{tmp_path}/no.sock")
    tried = 0
    connect = asyncio.open_unix_connection

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal tried
        tried += 1
        return await connect(*arguments, **options)

    monkeypatch.setattr(asyncio, "open_unix_connection", counted)
    with pytest.raises(redis.ConnectionError):
        await client.ask("PING")
    assert tried == 2


async def test_a_server_that_knows_no_script_gets_it_again(client: StoreClient, store: Any) -> None:
    script = StoreScript(client, "return {KEYS[1], ARGV[1], ARGV[2]}")
    for _ in range(2):
        store.script_flush()
        for _ in range(2):
            assert await script([b"key"], [1, b"two"]) == [b"key", b"1", b"two"]
        assert store.script_exists(script.digest) == [True]


async def test_closing_leaves_no_connection(client: StoreClient, store: Any) -> None:
    await client.ask("PING")
    await client.close()
    eventually(lambda: not connections(store))
    assert await client.ask("PING") == b"PONG"
