"""Folders for temporary files, which are large here: gone at the end, and clear words when a disk is full."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from features.errors import OutOfSpace

PREFIX: Final = "tollgate-features-"
_LOCK: Final = "in-use"
_ADVICE: Final = "Free some space, or set TMPDIR to a folder on a larger disk."


@contextmanager
def scratch_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder that is gone when the block ends, well or badly.

    What an earlier process left behind because it was killed is removed first: each process holds a lock in its
    folder, which the system takes from a dead one.

    Args:
        parent: where it is made; None: where temporary files of this machine go (``TMPDIR``).

    Raises:
        OutOfSpace: the disk became full, in this process or in a task of its Ray.
    """
    where = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_leftovers(where)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
    try:
        with (folder / "taken").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Under its name only now: nobody sees a lock that nobody holds.
            (folder / "taken").rename(folder / _LOCK)
            yield folder
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise OutOfSpace(
            f"A disk is full: {error}. Features lie in {where} until a run ends. {_ADVICE}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_space(folder: Path, needed_bytes: int) -> None:
    """Check that the disk of a folder has so much space, so that a run does not end after an hour for want of it.

    Raises:
        OutOfSpace: it has less.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise OutOfSpace(
            f"{folder.parent} has {free_bytes / 1e9:.1f} GB of free space, and the features of this run need up to"
            f" {needed_bytes / 1e9:.1f} GB there until it ends. {_ADVICE}"
        )


def _remove_leftovers(where: Path) -> None:
    for folder in where.glob(f"{PREFIX}*"):
        if not _in_use(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _in_use(folder: Path) -> bool:
    """Return whether a process holds the lock of a folder, or has not made it yet."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except OSError:
        # Not made yet, gone by now, or of another user: nothing that is ours to remove.
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
