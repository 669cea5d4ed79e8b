"""One host of the cluster: how it is started with the product's own commands, and how it is lost."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster import worker
from cluster.head import keep_logs
from cluster.processes import RAY, owned_by
from cluster.record import forget, remembered
from cluster.settings import PROJECT, ClusterSettings
from features.errors import ClusterError
from loadtests.chaos import stack_processes
from loadtests.chaos.changes import SERVED_KINDS
from loadtests.chaos.hosts.network import Command, Place

COMMAND_S: Final = 900.0
FOREIGN: Final = ("TOLLGATE_", "MLFLOW_", "RAY_")
"""Beginnings of variables of the calling shell that no host is to see."""


@dataclass(frozen=True, slots=True)
class Node:
    """A host with a state folder of its own.

    Attributes:
        head: address of the head that it joins; None: it is the head.
        variables: of its environment, beside what the calling shell has.
    """

    name: str
    place: Place
    home: Path
    head: str | None
    variables: Mapping[str, str]

    @property
    def settings(self) -> ClusterSettings:
        """What it was started with.

        Raises:
            ClusterError: it was not.
        """
        settings = remembered(self.home)
        if settings is None:
            raise ClusterError(f"{self.name} was never started.")
        return settings

    @property
    def arguments(self) -> list[str]:
        """The arguments of ``tollgate`` that start it, and start it again."""
        return ["up"] if self.head is None else ["join", self.head]

    def start(self) -> None:
        """Run the command that starts the host; on one that stands it changes nothing.

        Raises:
            ClusterError: it failed; says with what words.
        """
        self.tollgate(*self.arguments)

    def try_to_start(self) -> str:
        """Run the command that starts the host; return what it said if it failed, "" otherwise."""
        try:
            self.start()
        except ClusterError as error:
            return str(error)
        return ""

    def tollgate(self, *arguments: str) -> None:
        """Run the command ``tollgate`` on this host.

        Raises:
            ClusterError: it failed.
        """
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment(os.environ),
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode:
            raise ClusterError(f"`tollgate {' '.join(arguments)}` failed on {self.name}: {done.stderr.strip()}")

    def command(self, *arguments: str) -> Command:
        """Return the command line of a command of ``tollgate`` on this host."""
        return self.place.inside([sys.executable, "-m", "cluster", *arguments])

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a command on this host."""
        kept = {name: value for name, value in base.items() if not name.startswith(FOREIGN)}
        return kept | {
            "PYTHONPATH": str(PROJECT),
            "TOLLGATE_HOME": str(self.home),
            "TOLLGATE_NODE_ADDRESS": self.place.address,
            **self.variables,
        }

    def kill(self) -> None:
        """Kill every process of the host with SIGKILL, also those that the others start meanwhile."""
        while left := owned_by(self.home):
            stack_processes.kill([one.process for one in left])

    def remove(self) -> None:
        """Kill the host and remove what it leaves outside of its state folder; its logs go there."""
        self.kill()
        settings = remembered(self.home)
        if settings is not None:
            keep_logs(settings)
            forget(settings)

    @property
    def stands(self) -> bool:
        """Whether its raylet lives."""
        return worker.is_up(self.settings)

    @property
    def serves(self) -> bool:
        """Whether it has a HAProxy and, if replicas are placed there, one of each kind."""
        kinds: Sequence[str] = () if self.head is None else SERVED_KINDS
        return bool(stack_processes.haproxy(self.settings)) and all(
            stack_processes.replicas(self.settings, kind) for kind in kinds
        )

    @property
    def data(self) -> Path:
        """Folder of decisions that wait on its disk."""
        return self.settings.data

    def processes(self) -> int:
        """Return how many processes of Ray and Serve it has."""
        return len(owned_by(self.home, RAY))
