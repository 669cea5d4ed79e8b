"""Where the sockets of links lie: in a folder that only this user can enter, for a body is a pickle."""

import os
import socket
import struct
import tempfile
from pathlib import Path
from uuid import uuid4


class FolderNotOurs(OSError):
    """Someone else could put a socket into the folder, or open one in it."""


class PeerNotOurs(OSError):
    """A process of another user is at the other end of a link."""


_PEER = struct.Struct("3i")
"""What the kernel says of a peer: process, user, group."""


def folder() -> Path:
    """Return the folder of this user's sockets; made if need be.

    Raises:
        FolderNotOurs: it belongs to another user, or others may enter it.
    """
    path = Path(tempfile.gettempdir(), f"tollgate-links-{os.getuid()}")
    path.mkdir(mode=0o700, exist_ok=True)
    facts = path.lstat()  # Of a symbolic link itself, whose mode is open.
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise FolderNotOurs(f"{path} must belong to user {os.getuid()} and be closed to others (mode 700)")
    return path


def check_peer(number: int) -> None:
    """Check that the process at the other end of a connection is this user's: what it sends is unpickled.

    Only the folder keeps others out otherwise, and a folder can be opened by mistake.

    Args:
        number: file descriptor of the connected socket; it stays open.

    Raises:
        PeerNotOurs: it is another user's.
    """
    with socket.socket(fileno=os.dup(number)) as own:
        facts = own.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, user, _ = _PEER.unpack(facts)
    if user != os.getuid():
        raise PeerNotOurs(f"a process of user {user} is at the other end of a link; it is closed")


def listening() -> socket.socket:
    """Return a socket that listens under a name of its own; sockets that dead processes left are removed.

    Raises:
        OSError: there is no such folder, or its path is too long for a socket (some 100 bytes).
    """
    home = folder()
    for left in home.glob("*.sock"):
        if not Path(f"/proc/{left.name.partition('-')[0]}").exists():
            left.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(str(home / f"{os.getpid()}-{uuid4().hex[:12]}.sock"))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
