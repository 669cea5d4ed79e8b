"""Which processes belong to a stack, and how they are started and stopped.

Every process that the launcher starts carries a mark in its environment, the state folder, and works in a
folder that no other process has. Children inherit both, so the marks find Ray's workers and HAProxy too,
whatever became of their parents. Nothing is ever stopped by its name.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "TOLLGATE_CLUSTER"
COMPONENT = "TOLLGATE_COMPONENT"
WORK_FOLDER = "tollgate-work"
TRAINING, RAY, MLFLOW, VALKEY = "training", "ray", "mlflow", "valkey"
EXEC_ATTEMPTS, EXEC_PAUSE_S = 50, 0.002
STOP_POLL_S = 0.02
KILL_S = 5.0


@dataclass(frozen=True)
class Owned:
    """A process of one stack, and the part of the stack that it serves."""

    process: psutil.Process
    component: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} (pid {self.process.pid})"


def owned_by(home: Path, component: str | None = None) -> list[Owned]:
    """Return the living processes of the stack whose state folder is ``home``, all or one component's."""
    me = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        if process.pid in me:
            continue
        owner = mark_of(process)
        if owner is None or owner[0] != str(home):
            continue
        if component is None or owner[1] == component:
            found.append(Owned(process, owner[1], name_of(process)))
    return found


def mark_of(process: psutil.Process) -> tuple[str, str] | None:
    """Return the state folder and the component that a process is marked with, None for a foreign one."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        environment = _environment(process)
        if MARK in environment:
            return environment[MARK], environment.get(COMPONENT, "")
        folder = Path(process.cwd())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    # Ray's dashboard renames its children, and the long title overwrites their environment. A shell whose
    # user looks around in our working folder has its environment still, and is none of ours.
    if "PATH" not in environment and folder.name == WORK_FOLDER:
        return str(folder.parent), RAY
    return None


def _environment(process: psutil.Process) -> dict[str, str]:
    """Return the environment of a process, of one that just becomes another program once it has become it.

    For a moment that one shows neither environment nor command line. A thread of the kernel has no program, and a
    title that overwrote the environment is still a command line.
    """
    for _ in range(EXEC_ATTEMPTS):
        if environment := process.environ():
            return environment
        if process.cmdline():
            return process.environ()  # It may have become the program in between.
        if not process.exe():
            break
        time.sleep(EXEC_PAUSE_S)  # The kernel gives no notice of an exec.
    return {}


def name_of(process: psutil.Process) -> str:
    """Return a name that a person recognises: the program, or for an interpreter its module or script."""
    try:
        name = process.name()
        arguments = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return "a process that has just ended"
    if name.startswith("python") and len(arguments) > 1:
        telling = next((a for a in arguments[1:] if not a.startswith("-")), "")
        return f"{name} {Path(telling).name}" if telling else name
    return name


def arguments_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process; nothing for one that has gone."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def title_of(process: psutil.Process) -> str:
    """Return the title that a Ray worker gives itself; "" for a process that has gone."""
    return next(iter(arguments_of(process)), "")


def start_detached(
    command: Sequence[str | Path], *, environment: Mapping[str, str], folder: Path, log: Path
) -> None:
    """Start a process that outlives this one, in a session of its own, its output appended to ``log``.

    The shell in between ends at once, so the new process belongs to init: this process need not reap it.
    """
    subprocess.run(
        ["/bin/sh", "-c", 'log="$1"; shift; "$@" >>"$log" 2>&1 </dev/null &', "sh", log, *command],
        env=dict(environment),
        cwd=folder,
        start_new_session=True,
        check=True,
    )


def stop(owned: Iterable[Owned], grace_s: float) -> list[Owned]:
    """Ask processes to end, wait up to ``grace_s`` seconds, kill the rest and return these."""
    asked = list(owned)
    for one in asked:
        _signal(one.process.terminate)
    killed = _after(asked, grace_s)
    for one in killed:
        _signal(one.process.kill)
    _after(killed, KILL_S)
    return killed


def _after(owned: Sequence[Owned], timeout_s: float) -> list[Owned]:
    """Return those that live still after so many seconds; sooner when none does.

    One that has ended and that nobody took note of yet, a zombie, does not live: in a container its new parent may
    take seconds for that, or never do it.
    """
    living = list(owned)
    deadline = time.monotonic() + timeout_s
    while (living := [one for one in living if _living(one.process)]) and time.monotonic() < deadline:
        time.sleep(STOP_POLL_S)  # Those who are not our children give no notice.
    return living


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return  # It ended by itself in the meantime, which is what was asked for.


def _living(process: psutil.Process) -> bool:
    try:
        # Where the first thread has ended and others have not, they hold its files and ports.
        return process.is_running() and (process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.NoSuchProcess:
        return False
