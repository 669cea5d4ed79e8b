"""Compaction: joins the many small files of a day that is over, so that a search opens few.

A drain leaves a file a minute. All that is joined is of days before the newest of the archive, so that no drain,
however late it wakes up, can still add to them. A file that was joined from others is made under a name of its
own, counts from then on, and what it replaced is deleted. Killed at any point, or run twice at once, nothing is
lost, and nothing is read twice by :class:`~deployments.ledger.archive.Archive`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa  # type: ignore[import-untyped]

from deployments.ledger.archive import Archive, ArchiveFile, count_rows, last_entry

ROWS_A_FILE: Final = 100_000
"""Rows of a file that is joined from others at most, some 200 MB in memory."""


class Compaction:
    """Joins files of an archive.

    Args:
        rows_a_file: at most, where files are joined.
    """

    def __init__(self, archive: Archive, rows_a_file: int = ROWS_A_FILE) -> None:
        self._archive = archive
        self._rows_a_file = rows_a_file
        self._done: set[str] = set()

    def step(self) -> int:
        """Join files to one, of the newest day that needs it; return how many there were, 0 where none does.

        Raises:
            OSError: the archive cannot be read or written.
        """
        for day in reversed(self._archive.days()[:-1]):
            if day not in self._done:
                if joined := self._see_to(day):
                    return joined
                self._done.add(day)
        return 0

    def _see_to(self, day: str) -> int:
        """Return how many files of a day were joined; 0: all is done."""
        while True:
            files, left_over = self._archive.files(day)
            for path in (*(file.path for file in left_over), *self._archive.drafts(day)):
                path.unlink(missing_ok=True)
            try:
                group = next(groups(files, [count_rows(file) for file in files], self._rows_a_file), None)
                if group is None:
                    return 0
                rows = pa.concat_tables(self._archive.read(file) for file in group)
                self._archive.join(rows, group[0].first, last_entry(group[-1]))
            except FileNotFoundError:
                continue  # Another one joined them meanwhile.
            for file in group:
                file.path.unlink(missing_ok=True)
            return len(group)


def groups(files: Sequence[ArchiveFile], rows: Sequence[int], bound: int) -> Iterator[Sequence[ArchiveFile]]:
    """Give the runs of files that become one: as many as hold ``bound`` rows together, two at least.

    Once they are joined, no two neighbours fit together, so that there is nothing more to do.
    """
    start, held = 0, 0
    for place, count in enumerate([*rows, bound + 1]):
        if held + count > bound:
            if place - start > 1:
                yield files[start:place]
            start, held = place, 0
        held += count
