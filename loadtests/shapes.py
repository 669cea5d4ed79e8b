"""The shapes of load, as locust takes them. Each is a plan of :mod:`loadtests.stages` on locust's own clock.

A locustfile that names one runs in it: see the files in ``loadtests/scenarios``. Locust's ``-u`` is then the
highest number of users, and ``-t`` the length of the whole scenario.
"""

from abc import abstractmethod
from typing import Any, ClassVar

from locust import LoadTestShape

from loadtests import stages
from loadtests.stages import Stage, users_at

DEFAULT_USERS = 32
DEFAULT_DURATION_S = 60.0
AT_ONCE = 1000.0
"""Users started or stopped a second: a stage begins at once."""


class Shape(LoadTestShape):
    """What all shapes have in common."""

    abstract = True
    use_common_options: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._plan: tuple[Stage, ...] | None = None

    @abstractmethod
    def plan(self, options: Any) -> tuple[Stage, ...]:
        """Return the stages of this shape; ``options`` are those of locust's command line."""

    def tick(self) -> tuple[int, float] | None:
        """Return the users of this moment, and how fast to get there; None ends the run."""
        if self._plan is None:
            assert self.runner is not None
            self._plan = self.plan(self.runner.environment.parsed_options)
        users = users_at(self._plan, self.get_run_time())  # type: ignore[no-untyped-call]
        return None if users is None else (users, AT_ONCE)


def _size(options: Any) -> tuple[int, float]:
    return options.num_users or DEFAULT_USERS, options.run_time or DEFAULT_DURATION_S


class Steady(Shape):
    """The same load all the time."""

    def plan(self, options: Any) -> tuple[Stage, ...]:
        """Return :func:`loadtests.stages.steady`."""
        return stages.steady(*_size(options))


class Step(Shape):
    """A load that rises in steps."""

    def plan(self, options: Any) -> tuple[Stage, ...]:
        """Return :func:`loadtests.stages.step`."""
        return stages.step(*_size(options))


class Spike(Shape):
    """A small load with a sudden peak."""

    def plan(self, options: Any) -> tuple[Stage, ...]:
        """Return :func:`loadtests.stages.spike`."""
        return stages.spike(*_size(options))


class Soak(Shape):
    """A load that stays for long."""

    def plan(self, options: Any) -> tuple[Stage, ...]:
        """Return :func:`loadtests.stages.soak`."""
        return stages.soak(*_size(options))


class Staged(Shape):
    """The stages of the option ``--stages``."""

    def plan(self, options: Any) -> tuple[Stage, ...]:
        """Return the stages that were given."""
        return stages.parse_stages(options.stages)
