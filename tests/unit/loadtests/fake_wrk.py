"""A command that prints what wrk would, and logs what it was asked to measure."""

import json
from pathlib import Path


def fake_wrk(
    folder: Path, *, requests: int = 1000, status: int = 0, exit_code: int = 0, fails_first: bool = False
) -> Path:
    """Write a command that logs connections, URL and script arguments, and prints counts as predict.lua does."""
    counts = {"requests": requests, "duration_us": 2_000_000, "p50_us": 1500, "p90_us": 2000, "p99_us": 9000}
    line = json.dumps(counts | {"status": status, "socket": 1})
    command = folder / "wrk"
    command.write_text(
        "#!/bin/sh\nconnections=$2\n"
        f'while [ "$1" != -s ]; do shift; done; shift 2; echo "$connections $*" >> {folder}/log\n'
        + (f"[ $(wc -l < {folder}/log) -gt 1 ] || exit 1\n" if fails_first else "")
        + f"echo 'Running 10s test'\necho '{line}'\necho 'no route' >&2\nexit {exit_code}\n"
    )
    command.chmod(0o755)
    return command


def logged(folder: Path) -> list[list[str]]:
    """Return the words of each call, the connections first."""
    return [line.split() for line in (folder / "log").read_text().splitlines()]
