"""The spool: what was written whole comes back, from live and from dead replicas."""

import fcntl
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

from deployments.ledger import spool as module
from deployments.ledger.spool import Spool
from features.errors import DecisionNotRecorded

PLENTY = 2**30
Spools = Callable[[], Spool]


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def left(spool: Spool) -> list[bytes]:
    return [entry for file in spool.left() for entry in file.entries]


async def test_a_replica_that_lives_keeps_its_file_and_one_that_sealed_it_does_not(spools: Spools) -> None:
    writer, reader = spools(), spools()
    await writer.append(b"one", PLENTY)
    await writer.append(b"two", PLENTY)
    assert left(reader) == left(writer) == []
    await writer.seal()
    assert left(reader) == [b"one", b"two"]
    await writer.append(b"three", PLENTY)
    assert left(reader) == [b"one", b"two"]


async def test_a_file_that_is_being_recorded_by_one_is_not_given_to_another(
    spools: Spools, tmp_path: Path
) -> None:
    writer = spools()
    await writer.append(b"one", PLENTY)
    await writer.seal()
    files = spools().left()
    file = next(files)
    assert left(spools()) == []
    file.end(True)
    assert list(files) == []
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("cut", range(1, 12))
async def test_a_torn_last_entry_is_passed_over(spools: Spools, tmp_path: Path, cut: int) -> None:
    writer = spools()
    await writer.append(b"one", PLENTY)
    await writer.append(b"two", PLENTY)
    await writer.seal()
    [path] = files_in(tmp_path)
    os.truncate(path, path.stat().st_size - cut)
    [file] = spools().left()
    assert (file.entries, file.whole) == ([b"one"], cut == 11)


async def test_zeros_behind_the_last_entry_are_nothing(spools: Spools, tmp_path: Path) -> None:
    writer = spools()
    await writer.append(b"one", PLENTY)
    await writer.seal()
    [path] = files_in(tmp_path)
    path.write_bytes(path.read_bytes() + bytes(100))
    [file] = spools().left()
    assert (file.entries, file.whole) == ([b"one"], True)


@pytest.mark.parametrize(
    "at", [-1, 8, 3, 1], ids=["the last one", "the first one", "its length, by much", "its length"]
)
async def test_a_damaged_entry_is_passed_over_and_its_file_kept(spools: Spools, tmp_path: Path, at: int) -> None:
    writer = spools()
    await writer.append(b"one", PLENTY)
    await writer.append(b"two", PLENTY)
    await writer.seal()
    [path] = files_in(tmp_path)
    data = bytearray(path.read_bytes())
    data[at] ^= 0x80
    path.write_bytes(data)
    reader = spools()
    found = []
    for file in reader.left():
        found += file.entries
        file.end(True)
    assert found == {-1: [b"one"], 8: [b"two"], 3: [], 1: []}[at]
    assert [(path.suffix, path.read_bytes()) for path in files_in(tmp_path)] == [(".unread", data)]
    await reader.look()
    assert (reader.set_aside, reader.waiting_bytes, left(reader)) == (1, 0, [])


async def test_a_file_whose_entries_were_not_all_recorded_is_kept(spools: Spools, tmp_path: Path) -> None:
    writer = spools()
    await writer.append(b"one", PLENTY)
    await writer.seal()
    for file in writer.left():
        file.end(False)
    [path] = files_in(tmp_path)
    assert path.suffix == ".unread"


async def test_files_are_small_so_that_each_can_be_read_as_a_whole(
    spools: Spools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
    writer = spools()
    for entry in (b"one", b"two", b"three"):
        await writer.append(entry, PLENTY)
    await writer.seal()
    assert sorted(left(writer)) == [b"one", b"three", b"two"]
    assert len(files_in(tmp_path)) > 1


async def test_a_disk_that_takes_only_a_part_keeps_nothing_of_it(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = spools()
    await writer.append(b"one", PLENTY)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    with pytest.raises(DecisionNotRecorded, match="No space left"):
        await writer.append(b"two", PLENTY)
    monkeypatch.undo()
    await writer.append(b"three", PLENTY)
    await writer.seal()
    assert left(writer) == [b"one", b"three"]


async def test_what_waits_is_known_from_the_start(spools: Spools) -> None:
    writer = spools()
    await writer.append(b"one", PLENTY)
    assert spools().waiting_bytes == writer.waiting_bytes == 11
    with pytest.raises(DecisionNotRecorded):
        await writer.append(b"two", 13)


async def test_a_file_that_another_replica_takes_before_it_is_ours_is_left_to_it(
    spools: Spools, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = spools()
    flock = fcntl.flock
    others: list[FileIO] = []

    def faster(file: FileIO, how: int) -> None:
        if not others:
            others.append(FileIO(Path(file.name), "r+b"))
            flock(others[0], how)
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", faster)
    file = await writer.append(b"one", PLENTY)
    assert file.name != Path(others[0].name).name
    others[0].close()
    await writer.seal()
    assert left(spools()) == [b"one"]
