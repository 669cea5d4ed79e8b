"""The version of a history: the SHA-256 of every file that is read of it, and one digest over all of them.

The digest is what these two commands print of the same folder, so that anybody can check it without Tollgate:

    cd data/history && LC_ALL=C sha256sum day=*/*.parquet | sha256sum
"""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from features.errors import InvalidHistory
from training.history_files import day_files


@dataclass(frozen=True, slots=True)
class DataVersion:
    """What a history held when it was read.

    Attributes:
        sha256: one digest over ``files``.
        files: path in the history folder, with slashes, to the digest of the file; in order of path.
    """

    sha256: str
    files: Mapping[str, str]


def data_version(history: Path) -> DataVersion:
    """Return the version of the history in a folder. Files are read in pieces, one a core at a time.

    Raises:
        InvalidHistory: it is no history, or a file cannot be read; names it.
    """
    paths = {path.relative_to(history).as_posix(): path for path in day_files(history)}
    names = sorted(paths)
    # hashlib lets go of the interpreter's lock, so threads are enough to keep the cores busy.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        digests = pool.map(_sha256, [paths[name] for name in names])
        files = dict(zip(names, digests, strict=True))
    listing = "".join(f"{digest}  {name}\n" for name, digest in files.items())
    return DataVersion(hashlib.sha256(listing.encode()).hexdigest(), files)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InvalidHistory(f"{path} cannot be read: {error.strerror}") from error
