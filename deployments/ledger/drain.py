"""The drain: moves the log from the store to the archive, each transaction once, although it may die at any point.

A cycle archives the oldest entries of one day and then deletes them from the store. Killed before the file has
its name, it leaves the log as it was; killed after it, the next cycle sees how far the archive reaches and deletes
what it has. What it finds in the store is the archive's own log, and not that of a store which took the place of
the former one: no id is before the newest file, and the last one not before its end.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]

from deployments.ledger.archive import Archive, rows_of
from deployments.ledger.entry_id import EntryId
from deployments.ledger.stream import LogStream, StoredEntry
from features.errors import ForeignLog

ROWS_A_CYCLE: Final = 25_000
"""Rows of a file about, some 100 MB in memory."""
ENTRIES_A_PIECE: Final = 64
"""Entries between two rests: some 10 ms of a core."""
REST: Final = 3
"""Times as long as it worked that a drain rests: it takes at most a quarter of a core."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What a cycle archived, entries and transactions, and whether it left some that were there before."""

    entries: int
    transactions: int
    more: bool = False


class Rest:
    """Rests the thread that calls it, ``REST`` times the CPU that it took since it last did so.

    Decisions that want the same core then wait for pieces of work in place of a whole cycle.
    """

    def __init__(self) -> None:
        self._worked_s = 0.0

    def __call__(self) -> None:
        """Rest."""
        time.sleep(REST * max(0.0, time.thread_time() - self._worked_s))
        self._worked_s = time.thread_time()


class Drain:
    """Drains the log of a store into an archive. Two of them at once harm nothing.

    Args:
        rest: called after each piece of work.
    """

    def __init__(self, log: LogStream, archive: Archive, rest: Callable[[], None] = lambda: None) -> None:
        self._log = log
        self._archive = archive
        self._rest = rest

    def cycle(self, max_rows: int = ROWS_A_CYCLE) -> Drained:
        """Archive the oldest entries, up to about ``max_rows`` rows; nothing is left when none were.

        Raises:
            OnlineStoreUnavailable: the store did not answer.
            ForeignLog: the store holds another log than the archive.
            OSError: the archive cannot be written.
        """
        began, archived = self._archive.newest()
        found = self._log.reach()
        if found is None:
            return Drained(0, 0)
        first, last = found
        if first < began or last < archived:
            raise ForeignLog(
                f"the log in the store has entries from {first} to {last}, but the archive's newest file holds"
                f" those from {began} to {archived}: the store took the place of another, and its clock is behind."
                " Nothing was moved or deleted; `tollgate drain --archive` moves this log to a folder of its own"
            )
        self._log.forget_through(archived)
        ids: list[EntryId] = []
        tables: list[pa.Table] = []
        for entries in self._pieces(archived, last, max_rows):
            ids += [entry.id for entry in entries]
            tables.append(rows_of(entries))
            self._rest()
        if not ids:
            return Drained(0, 0)
        rows = pa.concat_tables(tables)
        references = {digest for name in ("policy", "fingerprint") for digest in rows[name].unique().to_pylist()}
        if not self._archive.write(rows, ids[0], ids[-1], self._log.references(sorted(references))):
            return self.cycle(max_rows)  # Another drain was faster; its file says how far.
        self._log.forget_through(ids[-1])
        self._rest()
        return Drained(len(ids), len(rows), more=ids[-1] < last)

    def _pieces(self, after: EntryId, through: EntryId, max_rows: int) -> Iterator[list[StoredEntry]]:
        """Give the oldest entries of one day between two ids, up to about ``max_rows`` rows, some at a time.

        Without a last id a cycle would run behind those that come meanwhile, one by one.
        """
        entries: list[StoredEntry] = []
        count, day = 0, ""
        for entry in self._log.after(after):
            day = day or entry.id.day
            if count >= max_rows or entry.id.day != day or entry.id > through:
                break
            entries.append(entry)
            count += len(entry.fresh)
            if len(entries) == ENTRIES_A_PIECE:
                yield entries
                entries = []
        if entries:
            yield entries
