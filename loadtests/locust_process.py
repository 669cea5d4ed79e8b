"""Locust as a subprocess: started headless, watched while it runs, and asked whether it was itself the limit."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from loadtests.results import LOG, PREFIX, REPORT, LoadTestFailed

FOLDER: Final = Path(__file__).resolve().parent
GRACE_S: Final = 60.0
"""Time that locust may take beyond its plan: to start, to let the last requests end, to write its report."""
WATCH_S: Final = 1.0
LIMIT_SHARE: Final = 0.85
"""Above it a Python process has no time left to send more, and its latencies are partly its own."""
STARVED_SHARE: Final = 0.6
"""Of a core: a process that was never idle and got less waited for others."""
LOG_LINES: Final = 5

Used = dict[int, tuple[float, float]]
"""By process id: seconds busy, and seconds on a core."""


@dataclass(frozen=True, slots=True)
class Watched:
    """How busy locust was.

    Attributes:
        busy_share: of the time, 0 to 1, in which the loop of its busiest process ran or waited for a core; the
            median over the run.
        cpu_share: of a core that this process got; the median over the run.
        processes: that sent requests.
    """

    busy_share: float
    cpu_share: float
    processes: int

    @property
    def is_the_limit(self) -> bool:
        """Whether locust could not have sent much more."""
        return self.busy_share > LIMIT_SHARE

    def sentence(self) -> str:
        """Return in words what this means for the figures."""
        which = "Locust was" if self.processes == 1 else f"The busiest of {self.processes} locust processes was"
        busy = f"{which} busy for {self.busy_share:.0%} of the time and got {self.cpu_share:.0%} of a core"
        if not self.is_the_limit:
            return f"{busy}, so it was not the limit."
        if self.cpu_share < STARVED_SHARE:
            return (
                f"{busy}: it mostly waited for one. The machine was the limit, so rate and latency are the"
                " machine's and not the service's. Run locust on another one, or less beside it."
            )
        return (
            f"{busy}: it was itself the limit, so rate and latency are its own and not the service's."
            " Use --processes, another machine, or wrk."
        )


def locust_command(files: Sequence[Path], results: Path, options: Sequence[str]) -> list[str]:
    """Return the command line of a headless run that leaves CSV files and an HTML report in ``results``."""
    return [
        *(sys.executable, "-m", "locust", "-f", ",".join(str(file) for file in files)),
        *("--headless", "--only-summary", "--stop-timeout", "10"),
        *("--csv", str(results / PREFIX), "--csv-full-history", "--html", str(results / REPORT)),
        # What fails a run is up to the thresholds.
        *("--exit-code-on-error", "0"),
        *options,
    ]


def run_locust(
    command: Sequence[str], results: Path, plan_s: float, each_second: Callable[[float], None]
) -> Watched:
    """Run locust to its end and return how busy it was; its output goes to a log in ``results``.

    Args:
        command: of :func:`locust_command`.
        results: a folder that exists.
        plan_s: how long the run is meant to take.
        each_second: told the seconds since the start; what it raises ends locust, too.

    Raises:
        LoadTestFailed: locust ended with an error, or did not end.
    """
    log = results / LOG
    with log.open("w") as output:
        # A session of its own, because Linux shares cores among sessions first (autogroup): in this terminal's it
        # would compete with all else that was started there. An interrupt then reaches it through us alone.
        process = psutil.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=FOLDER.parent, start_new_session=True
        )
    samples: list[tuple[float, float]] = []
    processes = 1
    try:
        began = asked = time.monotonic()
        before = used_s_of(process)
        while (code := _wait(process, WATCH_S)) is None:
            now, asked_before, asked = used_s_of(process), asked, time.monotonic()
            samples.append(busiest(before, now, asked - asked_before))
            # The master of several processes sends nothing itself.
            processes = max(processes, len(now) - 1)
            before, elapsed_s = now, asked - began
            if elapsed_s > plan_s + GRACE_S:
                raise LoadTestFailed(f"locust did not end {GRACE_S:.0f} s after its plan; its log is {log}.")
            each_second(elapsed_s)
    finally:
        _end(process)
    if code:
        raise LoadTestFailed(f"locust ended with {code}: {_tail(log)}")
    busy, cpu = (median(column) for column in zip(*(samples or [(0.0, 0.0)]), strict=True))
    return Watched(min(busy, 1.0), min(cpu, 1.0), processes)


def busiest(before: Used, now: Used, duration_s: float) -> tuple[float, float]:
    """Return the busy share and the CPU share of the process that was the busiest between two samples.

    >>> busiest({1: (5.0, 4.0), 2: (0.0, 0.0)}, {1: (5.1, 4.1), 2: (1.8, 0.6)}, 2.0)
    (0.9, 0.3)
    """
    shares = (
        ((busy_s - before[pid][0]) / duration_s, (cpu_s - before[pid][1]) / duration_s)
        for pid, (busy_s, cpu_s) in now.items()
        if pid in before
    )
    busy, cpu = max(shares, default=(0.0, 0.0))
    return busy, min(cpu, busy)  # Of what never waited, rounding may leave more on a core than was busy.


def used_s_of(process: psutil.Process) -> Used:
    """Return by process id, for a process and its children, the seconds busy and those on a core.

    Only the main thread counts, in which locust does its work. Where the system does not tell how long a thread
    waited for a core (``schedstat`` of Linux), busy is the CPU time alone.
    """
    found: Used = {}
    with suppress(psutil.NoSuchProcess):
        for one in (process, *process.children()):
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                try:
                    ran_ns, waited_ns, _ = Path(f"/proc/{one.pid}/task/{one.pid}/schedstat").read_text().split()
                    found[one.pid] = (int(ran_ns) + int(waited_ns)) * 1e-9, int(ran_ns) * 1e-9
                except FileNotFoundError:
                    times = one.cpu_times()
                    found[one.pid] = (times.user + times.system,) * 2
    return found


def _wait(process: psutil.Popen, timeout_s: float) -> int | None:
    try:
        code: int = process.wait(timeout_s)
    except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
        return None
    return code


def _end(process: psutil.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        if _wait(process, 10) is None:
            process.kill()
            process.wait()


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    return " | ".join(lines[-LOG_LINES:]) or f"it said nothing; {log} is empty"
