"""The processes of one system: started, frozen while another is measured, thawed, stopped.

Idle servers are not idle: two Ray instances and half a dozen event loops with timers take part of two cores.
Starting and stopping them for each turn would put minutes between the figures of a ratio. So all stay up, and
whatever is not measured is stopped by SIGSTOP: it keeps its memory and its sockets, and takes no CPU at all.
"""

import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx
import psutil

from cluster.processes import COMPONENT, MARK, RAY, WORK_FOLDER, owned_by, start_detached, stop
from loadtests.compare.errors import PeerUnavailable

START_TIMEOUT_S: Final = 180.0
STOP_GRACE_S: Final = 15.0
POLL_S: Final = 0.2
LOG_LINES: Final = 3


class Processes:
    """All processes that carry the mark of a state folder.

    Args:
        home: the state folder; processes are found by it, whoever their parent is.
        ready_url: answers 200 when the system serves.
        component: of the stack at ``home``; None for all of it.
    """

    def __init__(self, home: Path, ready_url: str, component: str | None = None) -> None:
        self.home = home
        self.ready_url = ready_url
        self._component = component

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the system and wait until it serves; what an earlier run left is removed first.

        Raises:
            PeerUnavailable: it ended, or did not answer in time; with the end of its log.
        """
        self.stop()
        folder = self.home / WORK_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        log = self.home / "server.log"
        log.unlink(missing_ok=True)
        marks = {MARK: str(self.home), COMPONENT: self.home.name}
        start_detached(command, environment={**environment, **marks}, folder=folder, log=log)
        if not self.wait_ready(START_TIMEOUT_S):
            self.stop()
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            raise PeerUnavailable(f"did not start: {' / '.join(lines[-LOG_LINES:]) or 'no output'} ({log})")

    def wait_ready(self, timeout_s: float) -> bool:
        """Return whether it answers 200 within ``timeout_s`` seconds, and has processes all the while."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            try:
                if httpx.get(self.ready_url, timeout=5).status_code == httpx.codes.OK:
                    return True
            except httpx.TransportError:
                if not self._find():
                    return False
            time.sleep(POLL_S)  # Polls a server that gives no notice.
        return False

    def freeze(self) -> None:
        """Take all CPU from it until :meth:`thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run again."""
        self._signal(signal.SIGCONT)

    def cpu_s(self) -> float:
        """Return the CPU seconds that its living processes have used."""
        return sum(map(_cpu_s, self._find()))

    def stop(self) -> None:
        """End all of its processes."""
        self.thaw()
        stop(owned_by(self.home, self._component), STOP_GRACE_S)

    def _find(self) -> list[psutil.Process]:
        return [one.process for one in owned_by(self.home, self._component)]

    def _signal(self, number: signal.Signals) -> None:
        for process in self._find():
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                continue  # It has ended in the meantime.


def serving(home: Path, url: str) -> Processes:
    """Return the Ray part of a Tollgate stack, which is what is frozen: store and registry are shared."""
    return Processes(home, f"{url}/ready", RAY)


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
