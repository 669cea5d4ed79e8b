"""A process that dies at any of its steps."""

from collections.abc import Callable
from typing import Any

import pytest


class Killed(BaseException):
    """The process ends here."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, *functions: tuple[Any, str]) -> Callable[[], int]:
    """Let the process end at the given one of its steps: before or after a call of one of these functions.

    Args:
        functions: owner and name of each that touches disk or store.

    Returns:
        how many steps there were.
    """
    steps = 0

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps == step:
                raise Killed
            result = function(*arguments, **options)
            steps += 1
            if steps == step:
                raise Killed
            return result

        return call

    for owner, name in functions:
        monkeypatch.setattr(owner, name, deadly(getattr(owner, name)))
    return lambda: steps
