"""The faults of hosts, each a function that strikes a cluster and returns once it is whole again.

What an operator or a supervisor has to do is done with the product's own commands: a host that ended is started
by the command that started it first.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from features.errors import ClusterError
from loadtests.chaos import stack_processes
from loadtests.chaos.faults import Fault, Scene
from loadtests.chaos.hosts.hosts import Hosts
from loadtests.chaos.hosts.network import plug
from loadtests.chaos.stack_processes import KINDS

AWAY_S: Final = 15.0
"""How long a host that was killed stays away."""
DRAIN_S: Final = 20
"""How long Serve has to take a node's replicas away before it leaves."""
CUT_S: Final = 20.0
"""How long a link stays cut: less than the head needs to give a node up, so that the node is its own again."""
LONG_CUT_S: Final = 90.0
"""The same, but more than that (five health checks of up to 13 s): the node ends when it hears of it."""

HostFault = Callable[[Hosts], None]


def lose_worker(hosts: Hosts) -> None:
    """Kill every process of a worker node with SIGKILL; some seconds later it joins again."""
    victim = hosts.workers[-1]
    victim.kill()
    time.sleep(AWAY_S)  # The fault itself: the others serve alone.
    hosts.make_whole()


def lose_raylet(hosts: Hosts) -> None:
    """Kill the raylet of a worker node alone with SIGKILL; the node's replicas end by that, and it joins again.

    Raises:
        ClusterError: replicas go on without their raylet, where nobody places, replaces or stops them.
    """
    settings = hosts.workers[-1].settings
    stack_processes.kill(stack_processes.raylet(settings))
    time.sleep(AWAY_S)  # The fault itself: whoever lives still is alone.
    if left := {kind: len(found) for kind in KINDS if (found := stack_processes.replicas(settings, kind))}:
        raise ClusterError(f"Replicas live {AWAY_S:g} s after the raylet of their node: {left}.")
    hosts.make_whole()


def leave(hosts: Hosts) -> None:
    """Take a worker node out by ``tollgate leave``; some seconds later it joins again.

    The other worker has no room for a second replica of a kind, so this one's replicas serve until the deadline.
    """
    victim = hosts.workers[-1]
    victim.tollgate("leave", "--drain-s", str(DRAIN_S))
    time.sleep(AWAY_S)  # The others serve alone.
    victim.start()
    hosts.make_whole()


def cut_link(seconds: float, hosts: Hosts) -> None:
    """Pull the cable of a worker node, and plug it in again."""
    victim = hosts.workers[-1]
    plug(victim.place, False)
    try:
        time.sleep(seconds)  # The fault itself.
    finally:
        plug(victim.place, True)
    hosts.make_whole()


def lose_head(hosts: Hosts) -> None:
    """Kill every process of the head with SIGKILL; some seconds later it is started by the same command."""
    hosts.head.kill()
    time.sleep(AWAY_S)  # The fault itself: the workers serve without a head.
    hosts.make_whole()


FAULTS: Final[Mapping[str, HostFault]] = {
    "leave": leave,
    "worker": lose_worker,
    "raylet": lose_raylet,
    "head": lose_head,
    "link": partial(cut_link, CUT_S),
    "link_long": partial(cut_link, LONG_CUT_S),
}
"""Every fault by name."""

WORDS: Final[Mapping[str, str]] = {
    "leave": f"a worker node leaves (`tollgate leave`), and joins again after {AWAY_S:g} s",
    "worker": f"kill -9 of everything on a worker node, which joins again after {AWAY_S:g} s",
    "raylet": f"kill -9 of the raylet of a worker node alone, which joins again after {AWAY_S:g} s",
    "link": f"the link of a worker node cut for {CUT_S:g} s",
    "link_long": f"the link of a worker node cut for {LONG_CUT_S:g} s: the head gives it up, and it joins again",
    "head": f"kill -9 of everything on the head node, started again after {AWAY_S:g} s",
}
"""What each fault is, in words for the table."""


def on(hosts: Hosts, name: str) -> Fault:
    """Return a fault as a trial takes it."""
    return partial(_strike, FAULTS[name], hosts)


def _strike(fault: HostFault, hosts: Hosts, scene: Scene) -> None:  # noqa: ARG001 - hosts have more than one scene
    fault(hosts)
