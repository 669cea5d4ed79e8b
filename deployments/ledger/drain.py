"""The drain: moves a log from the store to its archive, each row once, although it may die at any point.

A cycle archives the oldest entries of one day and then deletes them from the store. Killed before the file has
its name, it leaves the log as it was; killed after it, the next cycle sees how far the archive reaches and deletes
what it has. What it finds in the store is the archive's own log, and not that of a store which took the place of
the former one: no id is before the newest file, and the last one not before its end.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]

from deployments.ledger.archive import Archive
from deployments.ledger.entry_id import EntryId
from deployments.ledger.stream import LogStream, StoredEntry
from features.errors import ForeignLog

ROWS_A_CYCLE: Final = 25_000
"""Rows of a file about, some 100 MB in memory."""
ENTRIES_A_PIECE: Final = 64
ROWS_A_PIECE: Final = 2_000
"""Entries, or rows about, between two rests: 10 to 20 ms of a core. To sort and write a file is one piece."""
LONGEST_REST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Drained:
    """What a cycle archived, entries and rows, and whether it left some that were there before."""

    entries: int
    rows: int
    more: bool = False


class Drain:
    """Drains the log of a store into an archive. Two of them at once harm nothing.

    Attributes:
        rest: times as long as it worked, by the CPU of its thread, that it rests after each piece of work.
            Decisions that want the same core then wait for a piece, and not for a cycle.
    """

    def __init__(self, log: LogStream, archive: Archive, rest: float = 0) -> None:
        self._log = log
        self._archive = archive
        self.rest = rest

    def end(self) -> EntryId | None:
        """Return the id up to which the log is filled now; None where nothing waits.

        Raises:
            OnlineStoreUnavailable: the store did not answer.
        """
        found = self._log.reach()
        return None if found is None else found[1]

    def cycle(self, max_rows: int = ROWS_A_CYCLE, through: EntryId | None = None) -> Drained:
        """Archive the oldest entries, up to about ``max_rows`` rows; nothing is left when none were.

        Args:
            through: the last entry that counts; the log's last now unless given. Without one, a drain under load
                would run after those that come meanwhile, one by one.

        Raises:
            OnlineStoreUnavailable: the store did not answer.
            ForeignLog: the store holds another log than the archive.
            OSError: the archive cannot be written.
        """
        worked_s = time.thread_time()
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
        last = last if through is None else min(last, through)
        self._log.forget_through(archived)
        ids: list[EntryId] = []
        tables: list[pa.Table] = []
        for entries in self._pieces(archived, last, max_rows):
            ids += [entry.id for entry in entries]
            tables.append(self._archive.kind.rows_of(entries))
            worked_s = self._rested(worked_s)
        if not ids:
            return Drained(0, 0)
        rows = pa.concat_tables(tables)
        references = {
            digest for name in self._archive.kind.references for digest in rows[name].unique().to_pylist()
        }
        if not self._archive.write(rows, ids[0], ids[-1], self._log.references(sorted(references))):
            return self.cycle(max_rows, through)  # Another drain was faster; its file says how far.
        self._log.forget_through(ids[-1])
        self._rested(worked_s)
        return Drained(len(ids), len(rows), more=ids[-1] < last)

    def _rested(self, worked_s: float) -> float:
        """Rest for what was worked since a time of the thread; return from when the next piece counts."""
        rest_s = min(LONGEST_REST_S, self.rest * (time.thread_time() - worked_s))
        time.sleep(rest_s)  # The rest itself: the core is for decisions meanwhile.
        return time.thread_time()

    def _pieces(self, after: EntryId, through: EntryId, max_rows: int) -> Iterator[list[StoredEntry]]:
        """Give the oldest entries of one day between two ids, up to about ``max_rows`` rows, some at a time."""
        entries: list[StoredEntry] = []
        count, given, day = 0, 0, ""
        for entry in self._log.after(after):
            day = day or entry.id.day
            if count >= max_rows or entry.id.day != day or entry.id > through:
                break
            entries.append(entry)
            count += len(entry.fresh)
            if len(entries) == ENTRIES_A_PIECE or count - given >= ROWS_A_PIECE:
                yield entries
                entries, given = [], count
        if entries:
            yield entries
