"""Hosts in a network of their own: namespaces that hang on a bridge, each by a pair of virtual interfaces.

A namespace has its own addresses, ports and routes, so its processes are to others what those of another machine
are; to set its interface down is to pull its cable. What they share is this machine's disk and processors.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from features.errors import ClusterError

BRIDGE: Final = "tghosts"
PREFIX: Final = "tghost"
SUBNET: Final = "10.77.0"
OUTSIDE: Final = f"{SUBNET}.254"
"""Address of this machine on the bridge, where clients and the shared servers are."""
Command = list[str]


@dataclass(frozen=True, slots=True)
class Place:
    """A host of the network; ``cable`` is the end of its pair of interfaces that hangs on the bridge."""

    number: int

    @property
    def namespace(self) -> str:
        """Name of its namespace."""
        return f"{PREFIX}{self.number}"

    @property
    def cable(self) -> str:
        """Name of the interface at the bridge."""
        return f"tgcable{self.number}"

    @property
    def address(self) -> str:
        """Its address on the bridge's network."""
        return f"{SUBNET}.{self.number}"

    def inside(self, command: Sequence[str]) -> Command:
        """Return a command that runs another one on this host."""
        return [_ip(), "netns", "exec", self.namespace, *command]


@contextmanager
def network(count: int) -> Iterator[list[Place]]:
    """Give so many hosts; what there is of the network is removed in the end, whatever happened.

    Raises:
        ClusterError: this user may not, iproute2 is missing, or another run's network stands and is in use.
    """
    places = [Place(number) for number in range(1, count + 1)]
    check_able()
    _remove_unused(places)
    try:
        for command in up_commands(places):
            _run(command)
        yield places
    finally:
        for command in down_commands(places):
            _run(command, check=False)


def check_able() -> None:
    """Check that networks can be made here.

    Raises:
        ClusterError: they cannot; says what is missing.
    """
    if os.geteuid() != 0:
        raise ClusterError("Network namespaces need root: run this as root (`sudo`), or in a container that is.")
    _ip()


def up_commands(places: Sequence[Place]) -> list[Command]:
    """Return the commands that make the bridge and the hosts on it."""
    ip = _ip()
    commands = [
        [ip, "link", "add", BRIDGE, "type", "bridge"],
        [ip, "addr", "add", f"{OUTSIDE}/24", "dev", BRIDGE],
        [ip, "link", "set", BRIDGE, "up"],
    ]
    for place in places:
        commands += [
            [ip, "netns", "add", place.namespace],
            [ip, "link", "add", place.cable, "type", "veth", "peer", "name", "eth0", "netns", place.namespace],
            [ip, "link", "set", place.cable, "master", BRIDGE],
            [ip, "link", "set", place.cable, "up"],
            [ip, "-n", place.namespace, "addr", "add", f"{place.address}/24", "dev", "eth0"],
            [ip, "-n", place.namespace, "link", "set", "eth0", "up"],
            [ip, "-n", place.namespace, "link", "set", "lo", "up"],
        ]
    return commands


def down_commands(places: Sequence[Place]) -> list[Command]:
    """Return the commands that remove all of it; some fail where only a part stands."""
    ip = _ip()
    hosts = [command for place in places for command in ([ip, "link", "del", place.cable], _delete(place))]
    return [*hosts, [ip, "link", "del", BRIDGE]]


def plug(place: Place, plugged: bool) -> None:
    """Plug a host's cable in, or pull it: nothing passes, and nobody is told."""
    _run([_ip(), "link", "set", place.cable, "up" if plugged else "down"])


def _remove_unused(places: Sequence[Place]) -> None:
    """Remove what a run left that was killed.

    Raises:
        ClusterError: processes run in it.
    """
    for place in places:
        asked = subprocess.run(
            [_ip(), "netns", "pids", place.namespace], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0 and asked.stdout.strip():
            raise ClusterError(f"Processes run in the namespace {place.namespace} already; end them first.")
    for command in down_commands(places):
        _run(command, check=False)


def _delete(place: Place) -> Command:
    return [_ip(), "netns", "del", place.namespace]


def _run(command: Command, check: bool = True) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


def _ip() -> str:
    found = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise ClusterError("The command `ip` is missing: install iproute2.")
    return found
