"""Trials on several hosts: the faults of hosts in turn, with the proof and the audit of all other trials."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console

from loadtests.chaos.campaign import Result, run_trials
from loadtests.chaos.hosts.faults import WORDS, on
from loadtests.chaos.hosts.hosts import Hosts
from loadtests.chaos.places import Places
from loadtests.chaos.trial import Trial

STRIKE_S: Final = 3.0
"""Second of the load at which the fault strikes: before it, the load is seen to be whole."""


def run_host_trials(
    hosts: Hosts, names: Sequence[str], seconds: float, rate: float, seed: int, console: Console
) -> Result:
    """Strike the hosts with each fault in turn; a row each, and an audit in the end."""
    trials = [Trial(name, WORDS[name], [(STRIKE_S, on(hosts, name))], seconds) for name in names]
    # The head's folder holds the archive; on its own host the addresses in its settings are as good from here.
    return run_trials(hosts.head.settings, trials, rate, seed, True, console, places_of(hosts))


def places_of(hosts: Hosts) -> Places:
    """Return where a cluster is asked, and where its decisions may wait."""
    return Places(
        urls=hosts.urls,
        data=tuple(node.data for node in hosts.nodes),
        headers={"authorization": f"Bearer {hosts.api_key}"},
    )
