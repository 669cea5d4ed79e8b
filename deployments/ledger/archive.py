"""The archive: decided transactions as Parquet, a folder a day of decision, each transaction once.

``day=2026-11-22/from-<id>.parquet`` holds the log entries from that id on, up to the one that its metadata names.
The name is the fence: of two drains that begin at the same entry only one can create the file, and none begins
inside of what another has written. What rows refer to lies beside: ``policies/<digest>.json`` and
``features/<fingerprint>.json``, the names of the feature columns in order.
"""

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from deployments.ledger.entry_id import START, EntryId
from deployments.ledger.record import SCHEMA, Header

ROWS: Final = pa.schema(
    [
        *SCHEMA,
        ("entry", pa.string()),
        ("decided_at_ms", pa.int64()),
        ("latency_ms", pa.float64()),
        ("lr_version", pa.string()),
        ("xgb_version", pa.string()),
        ("degraded", pa.list_(pa.string())),
        ("policy", pa.string()),
        ("fingerprint", pa.string()),
        ("has_history", pa.bool_()),
    ]
)
"""Columns of a file: those of an entry, its id, and its header."""
ROWS_A_GROUP: Final = 4096
"""Rows of a row group. Rows lie in the order of their transaction_id, so a search reads one group a file."""
_LAST: Final = b"tollgate.last_entry"


class Archive:
    """The archive in a folder.

    Args:
        folder: of a file system that can link a file atomically, as all local ones do.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def last(self) -> EntryId:
        """Return the id of the newest entry that is archived; ``START`` when there is none."""
        for day in reversed(self.days()):
            if files := self._files(day):
                newest = max(files, key=_first_of)
                return EntryId.parse(pq.read_metadata(newest).metadata[_LAST].decode())
        return START

    def write(self, rows: pa.Table, first: EntryId, last: EntryId, references: Mapping[str, str]) -> bool:
        """Write the rows of the entries from first to last, of one day; False if another drain was faster.

        Durable when it returns: files and folders are on the disk.

        Args:
            references: what the rows refer to, by digest.
        """
        for digest, text in references.items():
            kind = "policies" if text.startswith("{") else "features"
            self._place(self.folder / kind / f"{digest}.json", text.encode())
        sink = pa.BufferOutputStream()
        table = rows.sort_by("transaction_id").replace_schema_metadata({_LAST: str(last)})
        pq.write_table(table, sink, compression="zstd", row_group_size=ROWS_A_GROUP)
        return self._place(self.folder / f"day={first.day}" / f"from-{first}.parquet", sink.getvalue())

    def days(self) -> list[str]:
        """Return the days that there are, oldest first."""
        return sorted(path.name.removeprefix("day=") for path in self.folder.glob("day=*"))

    def tables(self, day: str) -> Iterator[pa.Table]:
        """Give the rows of a day, a file at a time, in the order of decision."""
        for path in sorted(self._files(day), key=_first_of):
            yield pq.read_table(path, schema=ROWS)

    def find(self, transaction_id: str, days: Sequence[str]) -> dict[str, Any] | None:
        """Return the row of a transaction, the newest one; None where the days have none."""
        wanted = pc.field("transaction_id") == transaction_id
        for day in sorted(days, reverse=True):
            for path in sorted(self._files(day), key=_first_of, reverse=True):
                if found := pq.read_table(path, schema=ROWS, filters=wanted).to_pylist():
                    row: dict[str, Any] = found[-1]
                    return row
        return None

    def reference(self, kind: str, digest: str) -> str:
        """Return what rows refer to: ``kind`` is policies or features.

        Raises:
            FileNotFoundError: there is no such thing.
        """
        return (self.folder / kind / f"{digest}.json").read_text("utf-8")

    def _files(self, day: str) -> list[Path]:
        return list((self.folder / f"day={day}").glob("from-*.parquet"))

    def _place(self, path: Path, content: bytes) -> bool:
        """Create a file as a whole, or not at all; return False where it exists already."""
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{uuid.uuid4().hex}.draft")
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


def rows_of(entry_id: EntryId, header: Header, columns: pa.RecordBatch) -> pa.Table:
    """Return rows of an entry as the archive has them."""
    n = len(columns)
    values = header.model_dump()
    constants = [str(entry_id), *(values[name] for name in ROWS.names[len(SCHEMA) + 1 :])]
    fields = [ROWS.field(at) for at in range(len(SCHEMA), len(ROWS))]
    repeated = [
        pa.array([list(value) if isinstance(value, tuple) else value], field.type).take(
            pa.array([0] * n, pa.int8())
        )
        for field, value in zip(fields, constants, strict=True)
    ]
    return pa.Table.from_arrays([*columns.columns, *repeated], schema=ROWS)


def _first_of(path: Path) -> EntryId:
    return EntryId.parse(path.stem.removeprefix("from-"))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
