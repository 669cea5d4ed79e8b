"""A virtual environment for each peer, made with pip from its pinned requirement file, once."""

import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from loadtests.compare.errors import PeerUnavailable

REQUIREMENTS: Final = Path(__file__).resolve().parent
STAMP: Final = "requirements.sha256"
"""File in an environment that says which requirements it holds, so that a changed file installs anew."""
NICENESS: Final = "10"


Run = Callable[[Sequence[str]], None]
"""Runs a command to its end; raises PeerUnavailable when it fails."""


def run_nice(command: Sequence[str]) -> None:
    """Run a command to its end, at low priority.

    Raises:
        PeerUnavailable: it failed, with the reason that it printed.
    """
    run = subprocess.run(["nice", "-n", NICENESS, *command], capture_output=True, text=True, check=False)
    if run.returncode:
        raise PeerUnavailable(f"not installed: {reason(run.stderr or run.stdout)}")


def programs(requirements: str | None, folder: Path, run: Run = run_nice) -> Path:
    """Return the folder of the programs of an environment, installed first when it is not there yet.

    Args:
        requirements: the name of a requirement file beside this module; None: the project's own environment.
        folder: where environments are kept.

    Raises:
        PeerUnavailable: pip failed, with its reason.
    """
    if requirements is None:
        return Path(sys.executable).parent
    environment = folder / requirements.removesuffix(".txt").removeprefix("requirements-")
    content = (REQUIREMENTS / requirements).read_bytes()
    digest = hashlib.sha256(content + sys.version.encode()).hexdigest()
    stamp = environment / STAMP
    if not stamp.exists() or stamp.read_text() != digest:
        run((sys.executable, "-m", "venv", "--clear", str(environment)))
        pip = (
            str(environment / "bin" / "python"),
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        )
        run((*pip, "-r", str(REQUIREMENTS / requirements)))
        stamp.write_text(digest)
    return environment / "bin"


def version_of(requirements: str, package: str) -> str:
    """Return the version of a package that a requirement file pins."""
    for line in (REQUIREMENTS / requirements).read_text().splitlines():
        name, _, version = line.partition("==")
        if name.lower() == package:
            return version
    return "unknown"


def reason(output: str) -> str:
    """Return the line of pip's output that says what went wrong.

    >>> reason("WARNING: slow\\nERROR: No matching distribution found for x==1\\n")
    'No matching distribution found for x==1'
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["no output"])[-1]
