"""What the user sees of a long command: one line a step, with the time it takes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Tell = Callable[[str], None]


class Steps:
    """Shows steps on a console and remembers how long each took, in seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, title: str, live: bool = True) -> Iterator[Tell]:
        """Show a spinner while the body runs, then one line with the elapsed time.

        Args:
            title: what is being done.
            live: False leaves the terminal to the body, which shows a progress of its own.

        Yields:
            a function that shows a detail behind the title.
        """
        started = time.monotonic()
        detail = ""
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not (live and self.console.is_terminal),
        )
        task = progress.add_task(escape(title))

        def tell(text: str) -> None:
            nonlocal detail
            detail = text
            progress.update(task, description=f"{escape(title)}  [dim]{escape(text)}[/]")

        try:
            with progress:
                yield tell
        except BaseException:  # The line is shown for Ctrl-C as well; the exception goes on.
            self._line("[red]x[/]", title, detail, time.monotonic() - started)
            raise
        self.seconds[title] = time.monotonic() - started
        self._line("[green]ok[/]", title, detail, self.seconds[title])

    def say(self, text: str) -> None:
        """Show a line of its own."""
        self.console.print(escape(text), soft_wrap=True)

    def _line(self, sign: str, title: str, detail: str, seconds: float) -> None:
        behind = f"  [dim]{escape(detail)}[/]" if detail else ""
        self.console.print(f"{sign:>12} {escape(title)}{behind}  [dim]{seconds:.1f} s[/]", soft_wrap=True)
