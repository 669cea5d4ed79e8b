"""Decisions that the store does not take wait here, in a file on this machine's disk, until it does.

A replica appends to a file of its own, which it holds locked. Entries are written through to the disk before the
client is answered, so neither a killed replica nor a machine that loses power loses one: whoever finds a file that
nobody holds takes it over.
"""

import asyncio
import errno
import fcntl
import logging
import os
import struct
import uuid
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from features.errors import DecisionNotRecorded

logger = logging.getLogger("ray.serve")

SUFFIX: Final = ".spool"
UNREAD: Final = ".unread"
"""Of a file of which something could not be recorded: it is kept, and not looked at again."""
_FRAME: Final = struct.Struct("<II")
"""Length and CRC-32 of an entry, in front of it."""
MAX_FILE_BYTES: Final = 8 * 2**20
"""Size from which a replica begins another file: what is taken over is read as a whole."""


class Spool:
    """The files of the replicas of one machine, of which one is ours.

    Args:
        folder: where the files lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: FileIO | None = None
        self._lock = asyncio.Lock()
        self.waiting_bytes = self._measured()
        """Bytes that wait, of all replicas; those of others as of the last look."""
        self.set_aside = self._set_aside()
        """Files of which something could not be recorded, as of the last look."""

    async def append(self, entry: bytes, max_bytes: int) -> Path:
        """Return the file that the entry is in, once it is on the disk.

        Raises:
            DecisionNotRecorded: it is not: too much waits already, or the disk does not take it.
        """
        if self.waiting_bytes + len(entry) > max_bytes:
            raise DecisionNotRecorded(f"{self.waiting_bytes} bytes of decisions wait for the store already")
        async with self._lock:
            try:
                return await asyncio.to_thread(self._write, entry)
            except OSError as error:
                raise DecisionNotRecorded(f"the spool cannot be written: {error}") from error

    async def seal(self) -> None:
        """Let go of our file, so that :meth:`left` gives it, too; the next entry begins another."""
        async with self._lock:
            self.close()
            self.waiting_bytes = self._measured()

    async def look(self) -> None:
        """Find out how much waits: other replicas of this machine may have begun files, and died."""
        async with self._lock:
            self.waiting_bytes, self.set_aside = self._measured(), self._set_aside()

    def close(self) -> None:
        """Let go of our file; another replica takes it over."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def left(self) -> Iterator["SpoolFile"]:
        """Give the files that nobody holds, oldest first, each held until the next is asked for."""
        own = None if self._file is None else Path(self._file.name)
        for path in sorted(self._folder.glob(f"*{SUFFIX}"), key=_age):
            if path != own and (file := _held(path)) is not None:
                with file:
                    yield SpoolFile(path, *_entries(file))

    def _write(self, entry: bytes) -> Path:
        if self._file is not None and self._file.tell() > MAX_FILE_BYTES:
            self.close()
        if self._file is None:
            self._file = self._opened()
        at = self._file.tell()
        frame = _FRAME.pack(len(entry), zlib.crc32(entry)) + entry
        try:
            if self._file.write(frame) < len(frame):
                raise OSError(errno.ENOSPC, "the disk is full")
            os.fdatasync(self._file.fileno())
        except OSError:
            self._file.seek(at)
            self._file.truncate()
            raise
        self.waiting_bytes += len(frame)
        return Path(self._file.name)

    def _opened(self) -> FileIO:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            path = self._folder / f"{uuid.uuid4().hex}{SUFFIX}"
            file = FileIO(path, "x+b")
            # Another replica may take it for one that was left, before it is locked.
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if path.exists():
                    break
            file.close()
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file

    def _set_aside(self) -> int:
        return sum(1 for _ in self._folder.glob(f"*{UNREAD}"))

    def _measured(self) -> int:
        return sum(_size(path) for path in self._folder.glob(f"*{SUFFIX}"))


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A file that nobody writes any more, and its entries."""

    path: Path
    entries: list[bytes]
    whole: bool
    """Whether it was read to its end, and no entry was damaged."""

    def end(self, recorded: bool) -> None:
        """Remove the file if it is whole and its entries are recorded; else keep it for somebody to look at."""
        if self.whole and recorded:
            self.path.unlink(missing_ok=True)
            return
        aside = self.path.with_suffix(UNREAD)
        with suppress(FileNotFoundError):
            self.path.rename(aside)
            logger.error("not all of what waited in the spool could be recorded; it is kept at %s", aside)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # Its entries were recorded meanwhile.


def _held(path: Path) -> FileIO | None:
    """Return a file that nobody else holds, locked; None if somebody does, or it is gone."""
    try:
        file = FileIO(path, "r+b")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if not path.exists():
        file.close()
        return None
    return file


def _entries(file: FileIO) -> tuple[list[bytes], bool]:
    """Return the entries of a file, without damaged ones, and whether it was read to its end.

    It was not where an entry is torn, as by a kill. That one was never answered for; but a damaged length looks
    alike, and what lies behind it was. Nothing but zeros is what a file system leaves where the power went.
    """
    data = file.readall()
    entries: list[bytes] = []
    at = 0
    whole = True
    while at + _FRAME.size <= len(data):
        size, crc = _FRAME.unpack_from(data, at)
        entry = data[at + _FRAME.size : at + _FRAME.size + size]
        if not size or len(entry) < size:
            break
        if zlib.crc32(entry) == crc:
            entries.append(entry)
        else:
            whole = False
        at += _FRAME.size + size
    return entries, whole and not data[at:].strip(b"\0")
