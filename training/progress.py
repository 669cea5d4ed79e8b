"""The progress bar of the long steps: on stderr, so that it never mixes with what a command prints."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar(*, show: bool) -> Progress:
    """Return a progress bar on stderr, to be used as a context manager; it draws nothing unless ``show``."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not show,
        transient=True,
    )


class StepBar:
    """A progress bar of named steps, more of which may become known on the way.

    Args:
        progress: a bar that is shown already.
        title: what the steps belong to.
        steps: how many are known.
    """

    def __init__(self, progress: Progress, title: str, steps: int) -> None:
        self._progress = progress
        self._title = title
        self._total = steps
        self._task = progress.add_task(title, total=steps)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step while the block runs."""
        self._progress.update(self._task, description=f"{self._title}: {name}")
        yield
        self.advance()

    def expect(self, steps: int, name: str) -> None:
        """Take in that more steps come, and show what they are."""
        self._total += steps
        self._progress.update(self._task, total=self._total, description=f"{self._title}: {name}")

    def advance(self) -> None:
        """Count one step as done."""
        self._progress.advance(self._task)
