"""The secrets of a stack: made once, kept in files of this user alone, never on a command line."""

import os
import secrets
import stat
from pathlib import Path

from features.errors import ClusterError

SECRET_BYTES = 32


def make_secret(path: Path) -> None:
    """Write a new random secret (64 hexadecimal digits) into ``path``, unless there is one already.

    Raises:
        ClusterError: the file belongs to somebody else, or others may read it.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        check_private(path)
        return
    with os.fdopen(number, "w") as file:
        file.write(secrets.token_hex(SECRET_BYTES))


def read_secret(path: Path) -> str:
    """Return the secret in a file.

    Raises:
        ClusterError: there is none, or others may read it.
    """
    try:
        check_private(path)
        return path.read_text().strip()
    except FileNotFoundError as error:
        raise ClusterError(f"There is no secret at {path}; `tollgate up` makes it.") from error


def check_private(path: Path) -> None:
    """Check that a file is this user's, and closed to others.

    Raises:
        ClusterError: it is not.
        FileNotFoundError: there is none.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise ClusterError(f"{path} holds a secret, so it must be a file of yours with mode 600 (`chmod 600`).")
