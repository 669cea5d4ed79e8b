"""How many users there are at which moment: the plan of a scenario, as stages of constant load."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STEPS: Final = 5
"""Stages of :func:`step`: 20, 40, ..., 100 % of the users."""
RAMP_STAGES: Final = 10
SPIKE_BASE: Final = 8
"""Before and after a spike there is an eighth of its users."""
_STAGE: Final = re.compile(r"(\d+(?:\.\d+)?)x(\d+)")


@dataclass(frozen=True, slots=True)
class Stage:
    """``users`` at once for ``duration_s`` seconds."""

    duration_s: float
    users: int


def steady(users: int, duration_s: float) -> tuple[Stage, ...]:
    """Return the same load from the beginning to the end."""
    return (Stage(duration_s, users),)


def step(users: int, duration_s: float) -> tuple[Stage, ...]:
    """Return a load that rises in equal steps to ``users``: shows where latency begins to rise and the rate not.

    >>> [stage.users for stage in step(100, 50)]
    [20, 40, 60, 80, 100]
    """
    return tuple(Stage(duration_s / STEPS, max(1, users * number // STEPS)) for number in range(1, STEPS + 1))


def spike(users: int, duration_s: float) -> tuple[Stage, ...]:
    """Return a small load with a sudden peak in the middle fifth: shows overload, and the way out of it.

    >>> [(stage.duration_s, stage.users) for stage in spike(64, 50)]
    [(20.0, 8), (10.0, 64), (20.0, 8)]
    """
    base = Stage(duration_s * 0.4, max(1, users // SPIKE_BASE))
    return (base, Stage(duration_s * 0.2, users), base)


def soak(users: int, duration_s: float) -> tuple[Stage, ...]:
    """Return a load that rises slowly through the first tenth, then stays: shows what grows with time."""
    ramp = tuple(
        Stage(duration_s * 0.1 / RAMP_STAGES, max(1, users * number // RAMP_STAGES))
        for number in range(1, RAMP_STAGES + 1)
    )
    return (*ramp, Stage(duration_s * 0.9, users))


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Return the stages that a text names, as SECONDSxUSERS with commas.

    >>> parse_stages("20x4,30x64")
    (Stage(duration_s=20.0, users=4), Stage(duration_s=30.0, users=64))

    Raises:
        ValueError: the text is no such list; the message says what one looks like.
    """
    found = [_STAGE.fullmatch(part.strip()) for part in text.split(",")]
    stages = tuple(Stage(float(match[1]), int(match[2])) for match in found if match)
    if len(stages) < len(found) or any(stage.duration_s <= 0 or stage.users < 1 for stage in stages):
        raise ValueError(f"stages are given as SECONDSxUSERS, for example 20x4,30x64,20x4; this was {text!r}")
    return stages


def users_at(stages: Sequence[Stage], time_s: float) -> int | None:
    """Return how many users the plan has at a moment, in seconds from its start; None when it is over."""
    end_s = 0.0
    for stage in stages:
        end_s += stage.duration_s
        if time_s < end_s:
            return stage.users
    return None


def duration_s(stages: Sequence[Stage]) -> float:
    """Return how long a plan takes."""
    return sum(stage.duration_s for stage in stages)
