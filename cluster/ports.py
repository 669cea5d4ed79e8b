"""Which needed ports are taken, by whom, and what the user can do about it."""

import errno
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from cluster.processes import mark_of, name_of
from cluster.settings import ALL_INTERFACES, NeededPort


def conflicts(needed: Iterable[NeededPort], home: Path, command: str = "up") -> list[str]:
    """Return what is in the way of the stack of ``home``: one sentence a port that a stranger holds, and one
    a foreign stack of Tollgate, which usually holds many.

    Args:
        command: of Tollgate, that takes other ports.
    """
    sentences = []
    stacks: dict[str, list[NeededPort]] = {}
    for port in needed:
        if not is_taken(port):
            continue
        holders = holders_of(port.number)
        owners = {mark[0] for holder in holders if (mark := mark_of(holder)) is not None}
        if holders and owners == {str(home)}:
            continue
        for owner in owners - {str(home)}:
            stacks.setdefault(owner, []).append(port)
        if not owners:
            sentences.append(_held_by_stranger(port, holders, command))
    return sentences + [_held_by_stack(owner, ports, command) for owner, ports in stacks.items()]


def is_taken(port: NeededPort) -> bool:
    """Return whether binding the port would fail. Connections in TIME_WAIT do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host, port.number))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return True
            raise
    return False


def holders_of(number: int) -> list[psutil.Process]:
    """Return the processes that hold a local port; empty where they belong to another user."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS answers this to root alone, but each process for its owner.
        return [process for process in psutil.process_iter() if _holds(process, number)]
    pids = {c.pid for c in connections if c.laddr and c.laddr.port == number and c.pid is not None}
    return [psutil.Process(pid) for pid in sorted(pids) if psutil.pid_exists(pid)]


def ours_holds(number: int, home: Path) -> bool:
    """Return whether it is a process of the stack of ``home`` that holds a local port, and no stranger."""
    marks = [mark_of(process) for process in holders_of(number)]
    return bool(marks) and all(mark is not None and mark[0] == str(home) for mark in marks)


def _holds(process: psutil.Process, number: int) -> bool:
    try:
        return any(c.laddr and c.laddr.port == number for c in process.net_connections(kind="tcp"))
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return False


def _held_by_stranger(port: NeededPort, holders: list[psutil.Process], command: str) -> str:
    where = f"Port {port.number} ({_words(port)})"
    elsewhere = f"stop it, or choose another port: tollgate {command} --port {port.name}=NUMBER"
    if not holders:
        return (
            f"{where} is held by a process of another user "
            f"(`sudo ss -ltnp 'sport = :{port.number}'` names it); {elsewhere}."
        )
    names = " and ".join(f"{name_of(process)} (pid {process.pid})" for process in holders)
    interface = "every interface" if port.host == ALL_INTERFACES else port.host
    return f"{where} is held by {names} and is needed on {interface}; {elsewhere}."


def _held_by_stack(owner: str, ports: list[NeededPort], command: str) -> str:
    numbers = ", ".join(f"{port.number} ({_words(port)})" for port in ports)
    return (
        f"The Tollgate stack of {owner} holds {numbers}. Stop it with `TOLLGATE_HOME={owner} tollgate down`, or "
        f"run this one beside it: tollgate {command} --port-base NUMBER."
    )


def _words(port: NeededPort) -> str:
    return port.name.replace("_", " ")
