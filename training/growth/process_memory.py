"""The memory of a process and of all that it started, watched from outside.

The figure is PSS (proportional set size): a page that several processes share, such as the object store of Ray
or the code of a library, counts once in the sum of them all. Files that are merely in the system's cache do not
count.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

EVERY_S: Final = 0.5
MIB: Final = 1024**2


class PeakMemory:
    """Samples a process tree in a thread until the block ends, and keeps the peak of each step.

    Args:
        pid: the root of the tree.
        step: returns the name of the step that the process is in.
        folder: of its temporary files.
        entering: called with the name of each step, when it is seen first.
    """

    def __init__(
        self, pid: int, step: Callable[[], str], folder: Path, entering: Callable[[str], None] = lambda _: None
    ) -> None:
        self._root = psutil.Process(pid)
        self._step = step
        self._folder = folder
        self._entering = entering
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._peaks: dict[str, float] = {}
        self.largest_files_mib = 0.0
        """What the temporary files took at most."""

    def __enter__(self) -> Self:
        """Begin to sample."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._ended.set()
        self._thread.join()

    @property
    def peaks_mib(self) -> Mapping[str, float]:
        """Step to the most memory that the tree had in it."""
        return self._peaks

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            used, step = tree_mib(self._root), self._step()
            if step not in self._peaks:
                self._entering(step)
            self._peaks[step] = max(self._peaks.get(step, 0.0), used)
            self.largest_files_mib = max(self.largest_files_mib, files_mib(self._folder))


def tree_mib(root: psutil.Process) -> float:
    """Return the PSS of a process and all its descendants, in MiB; 0 when it is gone."""
    try:
        tree = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_pss_kib(process.pid) for process in tree) / 1024


def files_mib(folder: Path) -> float:
    """Return the size of all files under a folder, in MiB; what vanishes meanwhile does not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue
    return total / MIB


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


class Steps:
    """The step that another process is in, through a file with a line for each: its name, and when it began."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def enter(self, name: str) -> None:
        """Note that a step begins."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(f"{name} {time.time()}\n")

    def current(self) -> str:
        """Return the step that began last; "start" before the first one."""
        begun = self.begun()
        return begun[-1][0] if begun else "start"

    def begun(self) -> list[tuple[str, float]]:
        """Return each step and the time at which it began, in seconds since the epoch."""
        if not self._path.exists():
            return []
        lines = self._path.read_text("ascii").split("\n")[:-1]
        return [(name, float(when)) for name, when in (line.split() for line in lines)]
