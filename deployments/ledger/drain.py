"""The drain: moves the log from the store to the archive, each transaction once, although it may die at any point.

A cycle archives the oldest entries of one day and then deletes them from the store. Killed before the file has
its name, it leaves the log as it was; killed after it, the next cycle sees how far the archive reaches and deletes
what it has. What it finds in the store is the archive's own log, and not that of a store which took the place of
the former one: no id is before the newest file, and the last one not before its end.
"""

from dataclasses import dataclass
from typing import Final

from deployments.ledger.archive import Archive, rows_of
from deployments.ledger.stream import LogStream, StoredEntry
from features.errors import ForeignLog

ROWS_A_CYCLE: Final = 25_000
"""Rows of a file about, some 100 MB in memory."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What a cycle did: entries and transactions that it archived."""

    entries: int
    transactions: int


class Drain:
    """Drains the log of a store into an archive. Two of them at once harm nothing."""

    def __init__(self, log: LogStream, archive: Archive) -> None:
        self._log = log
        self._archive = archive

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
        entries: list[StoredEntry] = []
        count = 0
        for entry in self._log.after(archived):
            if count >= max_rows or (entries and entry.id.day != entries[0].id.day):
                break
            entries.append(entry)
            count += len(entry.fresh)
        if not entries:
            return Drained(0, 0)
        rows = rows_of(entries)
        references = {digest for name in ("policy", "fingerprint") for digest in rows[name].unique().to_pylist()}
        last = entries[-1].id
        if not self._archive.write(rows, entries[0].id, last, self._log.references(sorted(references))):
            return self.cycle(max_rows)  # Another drain was faster; its file says how far.
        self._log.forget_through(last)
        return Drained(len(entries), len(rows))
