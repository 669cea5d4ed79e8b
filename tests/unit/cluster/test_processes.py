import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import psutil
import pytest

from cluster.processes import COMPONENT, MARK, RAY, VALKEY, WORK_FOLDER, mark_of, owned_by, start_detached, stop
from cluster.waiting import wait_until
from tests.unit.cluster.conftest import Start

DEAF = (
    "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True);sys.stdin.read()"
)
PARENT = (
    "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()']);"
    "print('here', flush=True); print(p.pid, flush=True); sys.stdin.read()"
)
# What a long process title does on Linux: it overwrites the environment that the kernel shows.
OVERWRITTEN = """
import ctypes, sys
fields = open('/proc/self/stat').read().rsplit(')', 1)[1].split()
start, end = int(fields[47]), int(fields[48])
ctypes.memset(start, 0, end - start)
print('here', flush=True)
sys.stdin.read()
"""


def pids(home: Path, component: str | None = None) -> set[int]:
    return {one.process.pid for one in owned_by(home, component)}


def test_only_processes_with_the_mark_of_this_state_folder_are_ours(tmp_path: Path, start: Start) -> None:
    ours = start(home=tmp_path / "mine")
    start(home=tmp_path / "other")
    start()
    assert pids(tmp_path / "mine") == {ours.pid}


def test_processes_are_told_apart_by_component(tmp_path: Path, start: Start) -> None:
    start(home=tmp_path, component=RAY)
    store = start(home=tmp_path, component=VALKEY)
    assert pids(tmp_path, VALKEY) == {store.pid}


def test_a_child_is_ours_even_after_its_parent_was_killed(tmp_path: Path, start: Start) -> None:
    parent = start(home=tmp_path, program=PARENT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    # The child would end when its inherited pipe closes, which the kill alone does not do.
    parent.kill()
    parent.wait()
    assert pids(tmp_path) == {child}
    stop(owned_by(tmp_path), grace_s=5)
    assert pids(tmp_path) == set()


class Becoming:
    """A process that has been forked and is about to be another program: the kernel shows nothing of it yet."""

    def __init__(self, asked: int, environment: dict[str, str]) -> None:
        self.asked = asked
        self._later = environment

    def environ(self) -> dict[str, str]:
        self.asked -= 1
        return {} if self.asked >= 0 else self._later

    def cmdline(self) -> list[str]:
        return []

    def exe(self) -> str:
        return sys.executable

    def status(self) -> str:
        return psutil.STATUS_RUNNING

    def cwd(self) -> str:
        return "/"


def test_a_process_that_just_becomes_another_program_is_ours() -> None:
    found = cast(psutil.Process, Becoming(3, {MARK: "/home", COMPONENT: VALKEY}))
    assert mark_of(found) == ("/home", VALKEY)
    assert mark_of(cast(psutil.Process, Becoming(10**6, {}))) is None


def test_a_process_whose_title_overwrote_its_environment_is_known_by_its_folder(
    tmp_path: Path, start: Start
) -> None:
    work = tmp_path / WORK_FOLDER
    work.mkdir()
    child = start(home=tmp_path, program=OVERWRITTEN, folder=work)
    assert MARK not in psutil.Process(child.pid).environ()
    assert mark_of(psutil.Process(child.pid)) == (str(tmp_path), RAY)


def test_a_users_shell_in_our_working_folder_is_not_ours(tmp_path: Path, start: Start) -> None:
    work = tmp_path / WORK_FOLDER
    work.mkdir()
    start(folder=work)
    assert pids(tmp_path) == set()


def test_the_command_itself_and_its_ancestors_are_never_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import sys; from pathlib import Path; from cluster.processes import owned_by;"
        "print(len(owned_by(Path(sys.argv[1]))))"
    )
    monkeypatch.setenv(MARK, str(tmp_path))
    finished = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert finished.stdout.strip() == "0"


def test_stopping_leaves_foreign_processes_alone(tmp_path: Path, start: Start) -> None:
    ours, foreign = start(home=tmp_path / "mine"), start(home=tmp_path / "other")
    assert stop(owned_by(tmp_path / "mine"), grace_s=5) == []
    assert ours.poll() is not None
    assert foreign.poll() is None


def test_a_process_that_ignores_the_request_is_killed_and_named(tmp_path: Path, start: Start) -> None:
    deaf = start(home=tmp_path, program=DEAF)
    [killed] = stop(owned_by(tmp_path), grace_s=0.1)
    assert killed.process.pid == deaf.pid
    assert deaf.wait(10) == -signal.SIGKILL


def test_stopping_a_process_that_has_just_ended_is_no_error(tmp_path: Path, start: Start) -> None:
    child = start(home=tmp_path)
    owned = owned_by(tmp_path)
    child.kill()
    child.wait()
    assert stop(owned, grace_s=1) == []


def test_a_detached_process_has_a_session_of_its_own_and_logs_to_its_file(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    start_detached(
        [sys.executable, "-c", "import time; print('logged', flush=True); time.sleep(60)"],
        environment=dict(os.environ) | {MARK: str(tmp_path)},
        folder=tmp_path,
        log=log,
    )
    try:
        assert wait_until(lambda: log.exists() and "logged" in log.read_text(), timeout_s=20)
        [child] = owned_by(tmp_path)
        assert os.getsid(child.process.pid) != os.getsid(0)
        assert child.process.ppid() != os.getpid()
        assert child.process.cwd() == str(tmp_path)
    finally:
        stop(owned_by(tmp_path), grace_s=5)
