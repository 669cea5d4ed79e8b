"""Whose sockets are trusted, and what dead processes leave."""

import os
import socket as sockets
import subprocess
from pathlib import Path

import pytest

from deployments.links.sockets import FolderNotOurs, PeerNotOurs, check_peer, folder, listening


def test_the_folder_is_closed_to_everybody_else() -> None:
    assert folder().stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_may_enter_is_refused() -> None:
    folder().chmod(0o755)
    with pytest.raises(FolderNotOurs, match="closed to others"):
        folder()


def test_a_link_to_a_folder_elsewhere_is_refused(own_folder: str) -> None:
    elsewhere = Path(own_folder, "elsewhere")
    elsewhere.mkdir(mode=0o700)
    Path(own_folder, f"tollgate-links-{os.getuid()}").symlink_to(elsewhere)
    with pytest.raises(FolderNotOurs):
        folder()


def test_sockets_of_dead_processes_are_removed_and_those_of_the_living_stay() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    left = folder() / f"{ended.pid}-0.sock"
    left.touch()
    with listening() as first, listening() as second:
        assert not left.exists()
        for socket in (first, second):
            assert Path(socket.getsockname()).is_socket()


def test_a_peer_of_this_user_passes_and_one_of_another_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = sockets.socketpair()
    with one, other:
        check_peer(one.fileno())
        ours = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: ours + 1)
        with pytest.raises(PeerNotOurs, match=f"user {ours}"):
            check_peer(one.fileno())
        one.send(b"still open")
        assert other.recv(16) == b"still open"
