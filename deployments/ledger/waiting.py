"""Decisions that were told and wait in the spool, by transaction_id: while the store is away, a retry gets them.

The memory of one replica: a retry that another one gets is decided anew (docs/guarantees.md).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployments.ledger.record import Entry
from deployments.ledger.standing import decision_texts

MAX_ROWS: Final = 50_000
"""Decisions that are remembered, about 1 KB each with their features; the oldest are forgotten first."""
_NOWHERE: Final = b"-"
"""Stands for the id of the log entry, which there is none of yet."""


@dataclass(frozen=True, slots=True, eq=False)
class WaitingEntry:
    """A batch that waits, as it was told.

    Attributes:
        data: of the entry, as it lies in the spool.
        claims: (n,) of its rows.
        texts: (n,) its decisions, as :class:`deployments.ledger.standing.Standing` has them.
        file: of the spool, in which it lies.
    """

    entry: Entry
    data: bytes
    claims: Sequence[bytes]
    texts: Sequence[bytes]
    file: Path


class Waiting:
    """What this replica has in the spool, each id once."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        # A plain dict looks for its first key among all those that were deleted in front of it.
        self._rows: OrderedDict[str, tuple[WaitingEntry, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, entry: Entry, data: bytes, claims: Sequence[bytes], file: Path) -> None:
        """Remember a batch that lies in a file of the spool. None of its ids waits already."""
        waiting = WaitingEntry(entry, data, claims, decision_texts(entry.decisions, entry.header), file)
        for row, name in enumerate(entry.batch.transaction_id):
            self._rows[name] = (waiting, row)
        while len(self._rows) > self._max_rows:
            self._rows.popitem(last=False)

    def entries(self, ids: Sequence[str]) -> list[WaitingEntry]:
        """Return the batches that hold one of these ids."""
        if not self._rows:
            return []
        return list(dict.fromkeys(self._rows[name][0] for name in ids if name in self._rows))

    def values(self, ids: Sequence[str]) -> list[tuple[int, bytes]]:
        """Return row and value of its claim key, as the store would give it, for those of these ids that wait."""
        found = []
        for at, name in enumerate(ids):
            if name in self._rows:
                waiting, row = self._rows[name]
                found.append((at, b"\n".join((waiting.claims[row], _NOWHERE, waiting.texts[row]))))
        return found

    def forget(self, ids: Sequence[str]) -> None:
        """Forget what the log has now."""
        for name in ids:
            self._rows.pop(name, None)

    def forget_recorded(self) -> None:
        """Forget what lay in files that are gone: some replica of this machine has recorded it."""
        files = dict.fromkeys(waiting.file for waiting, _ in self._rows.values())
        gone = {file for file in files if not file.exists()}
        if gone:
            self.forget([name for name, (waiting, _) in self._rows.items() if waiting.file in gone])
