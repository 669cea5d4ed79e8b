"""One run of wrk: its command line, and what it measured, with the CPU that wrk itself took."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from features.errors import TollgateError

PREDICT_SCRIPT: Final = Path(__file__).resolve().parent / "predict.lua"
"""Posts single payments of random customers."""
TIMEOUT_S: Final = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of wrk.

    Attributes:
        requests_per_s: successful answers a second; those that failed are not among them.
        p50_ms, p99_ms: latencies of all answers, in milliseconds.
        failed: answers that were no success, and answers that did not come.
        client_cores: CPU of wrk itself, in cores.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int
    client_cores: float


class WrkFailed(TollgateError):
    """wrk is missing, or cannot measure what it was asked to; the message says what to do."""


def find_wrk(command: str) -> str:
    """Return the path of wrk.

    Raises:
        WrkFailed: there is no such command.
    """
    found = shutil.which(command)
    if found is None:
        raise WrkFailed(f"There is no command {command!r}. Install wrk (apt-get install wrk), or give --wrk PATH.")
    return found


def run_wrk(
    wrk: str,
    url: str,
    connections: int,
    seconds: int,
    script: Path = PREDICT_SCRIPT,
    arguments: Sequence[str] = (),
) -> Sample:
    """Return what one run of wrk measured, with one thread.

    Args:
        script: prints its counts as the last line, as predict.lua does.
        arguments: of the script.

    Raises:
        WrkFailed: wrk ended with an error, or no request was answered with a success.
    """
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{TIMEOUT_S}s", "-s", str(script)]
    before = _children_cpu_s()
    run = subprocess.run([*command, url, "--", *arguments], capture_output=True, text=True, check=False)
    cpu_s = _children_cpu_s() - before
    if run.returncode:
        raise WrkFailed(f"wrk failed at {url}: {run.stderr.strip() or run.stdout.strip()}")
    return parse(run.stdout, cpu_s, url)


def parse(output: str, cpu_s: float, url: str) -> Sample:
    """Return the sample that wrk printed.

    Raises:
        WrkFailed: the last line is no counts, or counts no success.
    """
    lines = output.splitlines()
    try:
        counts = json.loads(lines[-1] if lines else "")
    except ValueError as error:
        raise WrkFailed(f"wrk printed no counts for {url}: {output.strip()[-200:]}") from error
    succeeded = counts["requests"] - counts["status"]
    duration_s = counts["duration_us"] / 1e6
    if not counts["requests"]:
        raise WrkFailed(f"{url} answered no request within {duration_s:.0f} s; is it deployed?")
    if succeeded <= 0:
        raise WrkFailed(f"{url} answered no request with a success; is it deployed? See loadtests/with_echo.py")
    return Sample(
        succeeded / duration_s,
        counts["p50_us"] / 1e3,
        counts["p99_us"] / 1e3,
        counts["status"] + counts["socket"],
        cpu_s / duration_s,
    )


def _children_cpu_s() -> float:
    """Return the CPU seconds of all children that have ended; wrk is the only one that ends meanwhile."""
    times = os.times()
    return times.children_user + times.children_system
