"""The archive: what the store's log held, as Parquet, a folder a day: decisions, each transaction once, or labels.

``day=2026-11-22/from-<id>.parquet`` holds the log entries from that id on, up to the one that its metadata names.
The name is the fence: of two drains that begin at the same entry only one can create the file, and none begins
inside of what another has written. ``from-<id>-through-<id>.parquet`` is what several of them were joined to
(:mod:`deployments.ledger.compaction`): files that begin within are left over, and nobody reads them. What rows of
decisions refer to lies beside: ``policies/<digest>.json`` and ``features/<fingerprint>.json``, the names of the
feature columns in order. So does the archive of labels, ``labels/day=2026-11-22/...``.
"""

import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from deployments.ledger.entry_id import START, EntryId
from deployments.ledger.kinds import DECISIONS, LABELS, Kind

ROWS_A_GROUP: Final = 4096
"""Rows of a row group. Rows lie in the order of their transaction_id, so a search reads one group a file."""
_LAST: Final = b"tollgate.last_entry"
_THROUGH: Final = "-through-"
_DRAFT: Final = ".draft"
DRAFT_S: Final = 3600


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """A file of the archive.

    Attributes:
        first: id of its first entry.
        through: id of the last entry that its name says; ``first`` where the name says none.
    """

    path: Path
    first: EntryId
    through: EntryId

    @classmethod
    def of(cls, path: Path) -> "ArchiveFile":
        """Return the file at a path that is named as one."""
        first, _, through = path.stem.removeprefix("from-").partition(_THROUGH)
        return cls(path, EntryId.parse(first), EntryId.parse(through or first))


class Archive:
    """The archive in a folder.

    Args:
        folder: of a file system that can link a file atomically, as all local ones do.
        kind: what it holds.
    """

    def __init__(self, folder: Path, kind: Kind = DECISIONS) -> None:
        self.folder = folder
        self.kind = kind

    @property
    def labels(self) -> "Archive":
        """The archive of labels that lies in this one of decisions."""
        return Archive(self.folder / LABELS.name, LABELS)

    def newest(self) -> tuple[EntryId, EntryId]:
        """Return the ids of the first and the last entry of the newest file; both ``START`` when there is none."""
        for day in reversed(self.days()):
            if files := self.files(day)[0]:
                return files[-1].first, last_entry(files[-1])
        return START, START

    def write(self, rows: pa.Table, first: EntryId, last: EntryId, references: Mapping[str, str]) -> bool:
        """Write the rows of the entries from first to last, of one day; False if another drain was faster.

        Durable when it returns: files and folders are on the disk.

        Args:
            references: what the rows refer to, by digest.
        """
        for digest, text in references.items():
            folder = "policies" if text.startswith("{") else "features"
            self._place(self.folder / folder / f"{digest}.json", text.encode())
        return self._place(self._folder(first.day) / f"from-{first}.parquet", self._parquet(rows, last))

    def join(self, rows: pa.Table, first: EntryId, last: EntryId) -> bool:
        """Write the rows of the entries from first to last, of one day, in place of the files that hold them.

        Durable when it returns, and from its name on the only one of them that is read. False if it is there.
        """
        return self._place(
            self._folder(first.day) / f"from-{first}{_THROUGH}{last}.parquet", self._parquet(rows, last)
        )

    def days(self) -> list[str]:
        """Return the days that there are, oldest first."""
        return sorted(path.name.removeprefix("day=") for path in self.folder.glob("day=*"))

    def tables(self, day: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Give the rows of a day, a file at a time, in the order of the log; each once, whoever joins files.

        Args:
            columns: that are wanted, and no others; None: all.
        """
        read = None if columns is None else [*dict.fromkeys((*columns, "entry"))]
        reached = START
        files = self.files(day)[0]
        while files:
            file = files.pop(0)
            try:
                rows, last = self.read(file, read), last_entry(file)
            except FileNotFoundError:  # It was joined with others meanwhile.
                files = [other for other in self.files(day)[0] if other.through > reached]
                continue
            if file.first <= reached:
                rows = rows.filter([EntryId.parse(entry) > reached for entry in rows["entry"].to_pylist()])
            reached = last
            yield rows if columns is None else rows.select(columns)

    def read(self, file: ArchiveFile, columns: list[str] | None = None) -> pa.Table:
        """Return all rows of a file, or some columns; those that an earlier release did not write are null."""
        return pq.read_table(file.path, schema=self.kind.schema, columns=columns)

    def find(self, transaction_id: str, days: Sequence[str]) -> dict[str, Any] | None:
        """Return the row of a transaction, the newest one; None where the days have none."""
        wanted = pc.field("transaction_id") == transaction_id
        for day in sorted(days, reverse=True):
            if rows := self._newest(day, wanted):
                return rows[-1]
        return None

    def _newest(self, day: str, wanted: pc.Expression) -> list[dict[str, Any]]:
        """Return the wanted rows of the last file of a day that has any."""
        while True:
            try:
                tables = (
                    pq.read_table(file.path, schema=self.kind.schema, filters=wanted)
                    for file in reversed(self.files(day)[0])
                )
                return next((table.to_pylist() for table in tables if len(table)), [])
            except FileNotFoundError:
                continue  # Files were joined meanwhile.

    def reference(self, kind: str, digest: str) -> str:
        """Return what rows refer to: ``kind`` is policies or features.

        Raises:
            FileNotFoundError: there is no such thing.
        """
        return (self.folder / kind / f"{digest}.json").read_text("utf-8")

    def files(self, day: str) -> tuple[list[ArchiveFile], list[ArchiveFile]]:
        """Return the files of a day in the order of decision, and those that are left over from joining."""
        found = [ArchiveFile.of(path) for path in self._folder(day).glob("from-*.parquet")]
        # Of two that begin with one entry, what was joined comes first.
        found.sort(key=lambda file: (-file.through.time_ms, -file.through.number))
        found.sort(key=lambda file: file.first)
        read: list[ArchiveFile] = []
        left_over: list[ArchiveFile] = []
        for file in found:
            (left_over if read and file.first <= read[-1].through else read).append(file)
        return read, left_over

    def drafts(self, day: str) -> list[Path]:
        """Return what was to become files of a day and was not touched for an hour: who was killed left it."""
        found = self._folder(day).glob(f".*{_DRAFT}")
        return [path for path in found if time.time() - path.stat().st_mtime > DRAFT_S]

    def _folder(self, day: str) -> Path:
        return self.folder / f"day={day}"

    def _parquet(self, rows: pa.Table, last: EntryId) -> pa.Buffer:
        """Return a file of rows, up to an entry, in the order of their ids, of one id in that of time."""
        sink = pa.BufferOutputStream()
        order = [("transaction_id", "ascending"), (self.kind.time, "ascending")]
        table = rows.sort_by(order).replace_schema_metadata({_LAST: str(last)})
        pq.write_table(table, sink, compression="zstd", row_group_size=ROWS_A_GROUP)
        return sink.getvalue()

    def _place(self, path: Path, content: bytes) -> bool:
        """Create a file as a whole, or not at all; return False where it exists already."""
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{uuid.uuid4().hex}{_DRAFT}")
        try:
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)  # Unlike a rename, it fails where the name is taken.
            except FileExistsError:
                return False
        finally:
            draft.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent):
            _sync(folder)
        return True


def count_rows(file: ArchiveFile) -> int:
    """Return how many rows a file holds."""
    return int(pq.read_metadata(file.path).num_rows)


def last_entry(file: ArchiveFile) -> EntryId:
    """Return the id of the last entry of a file."""
    return EntryId.parse(pq.read_metadata(file.path).metadata[_LAST].decode())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
