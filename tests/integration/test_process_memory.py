"""Memory of a process tree: what its children hold counts, and what they share counts once."""

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from training.growth.process_memory import PeakMemory, Steps, files_mib, tree_mib

BEFORE_THE_FORK = """
import os, sys
held = bytearray(b"x") * (100 * 1024 ** 2)
child = os.fork()
"""
AFTER_THE_FORK = """
import os, sys
child = os.fork()
held = bytearray(b"x") * (100 * 1024 ** 2)
"""
REPORT = """
os.write(1, b"h")
sys.stdin.read()
if child:
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize(("code", "held_mib"), [(BEFORE_THE_FORK, 100), (AFTER_THE_FORK, 200)])
def test_what_a_child_holds_counts_and_what_it_shares_counts_once(code: str, held_mib: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", code + REPORT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == "hh"
        used = tree_mib(psutil.Process(process.pid))
        process.communicate()
    assert held_mib < used < held_mib + 50


def test_a_process_that_ended_holds_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as process:
        root = psutil.Process(process.pid)
        process.communicate("end\n")
    assert tree_mib(root) == 0


def test_the_peak_belongs_to_the_step_in_which_it_was(tmp_path: Path) -> None:
    steps = Steps(tmp_path / "steps")
    seen = {name: threading.Event() for name in ("start", "large", "small")}
    assert steps.current() == "start"
    with PeakMemory(psutil.Process().pid, steps.current, tmp_path, lambda step: seen[step].set()) as memory:
        steps.enter("large")
        held = bytearray(b"x") * (200 * 1024**2)
        assert seen["large"].wait(60)
        del held
        steps.enter("small")
        assert seen["small"].wait(60)
    assert memory.peaks_mib["large"] > memory.peaks_mib["small"] + 150


def test_steps_tell_when_they_began(tmp_path: Path) -> None:
    steps = Steps(tmp_path / "steps")
    steps.enter("features")
    steps.enter("fit")
    (first, began), (second, later) = steps.begun()
    assert (first, second, steps.current()) == ("features", "fit", "fit")
    assert began <= later


def test_files_of_all_folders_count(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    before = files_mib(tmp_path)
    (tmp_path / "deep" / "rows").write_bytes(b"x" * 1024**2)
    assert files_mib(tmp_path) - before == 1
