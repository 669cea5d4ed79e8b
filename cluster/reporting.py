"""How a command shows an error, and how it finds the stack that it talks to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cluster.record import remembered
from cluster.settings import ClusterSettings, Ports, settings_from
from features.errors import TollgateError

Home = Annotated[
    Path | None, typer.Option(help="State folder of the stack. [env: TOLLGATE_HOME; default: ./.tollgate]")
]

PortOptions = Annotated[
    list[str] | None,
    typer.Option(
        help=f"A port, as name=number; repeatable. Names: {', '.join(Ports.model_fields)}."
        " [env: TOLLGATE_PORT_<NAME>]"
    ),
]
PortBase = Annotated[
    int | None, typer.Option(help="Put all ports into one block from here. [env: TOLLGATE_PORT_BASE]")
]


@contextmanager
def reporting() -> Iterator[None]:
    """Turn an error of ours, or of a file, into a sentence and exit code 1; any other is a bug and shows its
    trace."""
    try:
        yield
    except TollgateError as error:
        _say(str(error))
        raise typer.Exit(1) from error
    except OSError as error:
        if error.filename is None:
            raise
        _say(f"{os.fsdecode(error.filename)}: {error.strerror}")
        raise typer.Exit(1) from error


def _say(text: str) -> None:
    Console(stderr=True).print(Text(text, "red"), soft_wrap=True)


def standing_settings(home: Path | None) -> ClusterSettings:
    """Return the settings that the stack of ``home`` was started with, or would be started with now."""
    asked = settings_from(os.environ, home=home)
    return remembered(asked.home) or asked
