"""Answers that wait for their reader: in memory while it reads, in a temporary file when it does not read at all.

Backpressure alone would deadlock with a client that reads nothing before it has sent everything, as most plain
HTTP clients do: it waits for us to read, and we for it. So a client that reads slowly holds us up, but for one
that reads nothing for a while, its answers go to disk, within a bound.
"""

import asyncio
import tempfile
from collections import deque
from typing import IO, Final

PIECE_BYTES: Final = 256 * 1024
"""Bytes that come back from the file at once."""


class ReaderStalled(Exception):
    """The reader reads nothing, and there is no room for more."""


class Outbox:
    """A queue of bytes between one producer and one reader, in order.

    Args:
        memory_bytes: what may wait in memory.
        spooled_bytes: what may wait in the file.
        patience_s: how long the reader may take nothing before the file is used.
        stall_s: how long it may take nothing once both are full.
    """

    def __init__(self, memory_bytes: int, spooled_bytes: int, patience_s: float, stall_s: float) -> None:
        self._memory_bytes = memory_bytes
        self._spooled_bytes = spooled_bytes
        self._patience_s = patience_s
        self._stall_s = stall_s
        self._memory: deque[bytes] = deque()
        self._in_memory = 0
        self._file: IO[bytes] | None = None
        self._read_at = self._written = 0
        self._reader_is_idle = False
        self._taken = asyncio.Event()
        self._filled = asyncio.Event()
        self._ended = False

    @property
    def waiting(self) -> int:
        """Bytes that were put and not taken."""
        return self._in_memory + self._written - self._read_at

    async def put(self, data: bytes) -> None:
        """Add bytes; returns when there is room for more.

        Raises:
            ReaderStalled: there is none, and the reader takes nothing.
        """
        if self._written > self._read_at or self._in_memory >= self._memory_bytes:
            self._spool(data)
        else:
            self._memory.append(data)
            self._in_memory += len(data)
        self._filled.set()
        while self.waiting > self._memory_bytes and not self._may_spool():
            await self._wait_for_reader()

    def end(self) -> None:
        """Say that no more will be put."""
        self._ended = True
        self._filled.set()

    async def take(self) -> bytes:
        """Return the next bytes, waiting for them; b"" once all are taken and the producer has ended."""
        while not self.waiting and not self._ended:
            self._filled.clear()
            await self._filled.wait()
        self._reader_is_idle = False
        data = b""
        if self._memory:
            data = self._memory.popleft()
            self._in_memory -= len(data)
        elif self._file is not None:
            self._file.seek(self._read_at)
            data = self._file.read(min(PIECE_BYTES, self._written - self._read_at))
            self._read_at += len(data)
            if self._read_at == self._written:
                self.close()
        self._taken.set()
        return data

    def close(self) -> None:
        """Give the file back to the system."""
        if self._file is not None:
            self._file.close()
        self._file = None
        self._read_at = self._written = 0

    def _may_spool(self) -> bool:
        return self._reader_is_idle and self.waiting < self._memory_bytes + self._spooled_bytes

    async def _wait_for_reader(self) -> None:
        self._taken.clear()
        try:
            await asyncio.wait_for(self._taken.wait(), self._stall_s if self._reader_is_idle else self._patience_s)
        except TimeoutError:
            if self._reader_is_idle:
                raise ReaderStalled(f"{self.waiting} bytes of answers wait for a client that reads none") from None
            self._reader_is_idle = True

    def _spool(self, data: bytes) -> None:
        # A write of some 100 KB goes to the page cache, and so does not hold up the event loop for long.
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="tollgate-answers-")  # noqa: SIM115 - closed by close().
        self._file.seek(self._written)
        self._file.write(data)
        self._written += len(data)
