"""The progress bar of the long steps: on stderr, so that it never mixes with what a command prints."""

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
