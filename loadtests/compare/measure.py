"""The run: every system in turn at each number of connections, again and again, the order rotated.

All turns of one number of connections lie within a minute or two, so that the ratios of a repetition come from
one mood of the machine.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

import psutil

from loadtests.compare.answers import answers
from loadtests.compare.bodies import content_type
from loadtests.compare.errors import PeerUnavailable
from loadtests.compare.figures import Measurement
from loadtests.compare.processes import Processes
from loadtests.compare.systems import System
from loadtests.wrk import PREDICT_SCRIPT, WrkFailed, run_wrk

BODIES_SCRIPT: Final = Path(__file__).resolve().parent / "bodies.lua"
READY_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """A system that stands and was checked.

    Attributes:
        url: of the measured POST.
        processes: what is frozen when others have their turn; None where they are not known.
        bodies: the file for bodies.lua; None where predict.lua makes the payments.
    """

    system: System
    url: str
    processes: Processes | None
    bodies: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is made; lengths in seconds."""

    connections: tuple[int, ...]
    seconds: int
    warm_up_s: int
    repetitions: int
    customers: int
    wrk: str


Turn = tuple[Target, int]


def turns(targets: Sequence[Target], connections: Sequence[int], repetition: int) -> list[Turn]:
    """Return who is measured when in a repetition: level by level, rotated, every other repetition backwards."""
    shift = repetition * max(1, len(targets) // 3) % len(targets)
    order = [*targets[shift:], *targets[:shift]]
    if repetition % 2:
        order.reverse()
    return [
        (target, level)
        for level in connections
        for target in order
        if level in target.system.connections(connections)
    ] + [
        (target, level)
        for target in order
        for level in target.system.connections(connections)
        if level not in connections
    ]


def run(
    plan: Plan,
    targets: Sequence[Target],
    store: Processes | None,
    before_repetition: Callable[[], None],
    tell: Callable[[str], None],
) -> Iterator[Measurement]:
    """Yield the measurement of each turn.

    Args:
        store: the online store's processes, whose CPU is told apart.
        before_repetition: brings store and bodies into the same state each time.
        tell: is told what is measured, before each turn.
    """
    with frozen(targets):
        for repetition in range(plan.repetitions):
            tell("the store's history")
            before_repetition()
            for target, connections in turns(targets, plan.connections, repetition):
                tell(f"{target.system.title} at {connections}")
                with awake(target):
                    yield _turn(plan, target, connections, repetition, store)


@contextmanager
def frozen(targets: Sequence[Target]) -> Iterator[None]:
    """Freeze every system while the block runs."""
    everything = {id(t.processes): t.processes for t in targets if t.processes}.values()
    try:
        for processes in everything:
            processes.freeze()
        yield
    finally:
        for processes in everything:
            processes.thaw()


@contextmanager
def awake(target: Target) -> Iterator[None]:
    """Let one system run while the block runs; it answers before the block begins, and again before it is frozen.

    What wrk leaves unanswered must not be answered in the next turn, nor be taken by an adaptive batcher for a
    request that took a minute.
    """
    if target.processes is None:
        yield
        return
    target.processes.thaw()
    try:
        answers(target.system, target.url, READY_TIMEOUT_S)
        yield
        answers(target.system, target.url, READY_TIMEOUT_S)
    finally:
        target.processes.freeze()


def _turn(plan: Plan, target: Target, connections: int, repetition: int, store: Processes | None) -> Measurement:
    place = (target.system.name, connections, repetition, target.system.rows)
    script, arguments = script_of(target, plan.customers)
    nan = float("nan")
    try:
        if plan.warm_up_s:
            # A slow system may answer nothing within it; whether it answers at all, the turn itself tells.
            with suppress(WrkFailed):
                run_wrk(plan.wrk, target.url, connections, plan.warm_up_s, script, arguments)
        before = _cpu(target.processes, store)
        sample = run_wrk(plan.wrk, target.url, connections, plan.seconds, script, arguments)
    except WrkFailed as error:
        return Measurement(*place, None, nan, nan, nan, str(error))
    after = _cpu(target.processes, store)
    # Looking at processes takes a while on a busy machine, so the time between is that of the looks themselves.
    elapsed_s = after["clock"] - before["clock"]
    cores = {name: (after[name] - before[name]) / elapsed_s for name in after}
    known = sum(cores[name] for name in ("service", "store") if cores[name] == cores[name])
    other = cores["machine"] - known - sample.client_cores if target.processes else nan
    return Measurement(
        *place, sample, cores["service"], cores["store"], max(other, 0.0) if other == other else nan
    )


def script_of(target: Target, customers: int) -> tuple[Path, tuple[str, ...]]:
    """Return the wrk script of a target, and its arguments.

    Raises:
        PeerUnavailable: it needs a file of bodies and has none.
    """
    if target.system.body == "payment":
        return PREDICT_SCRIPT, (str(customers),)
    if target.bodies is None:
        raise PeerUnavailable(f"{target.system.name} has no file of bodies")
    return BODIES_SCRIPT, (str(target.bodies), content_type(target.system.body))


def _cpu(service: Processes | None, store: Processes | None) -> Mapping[str, float]:
    """Return a clock, and the CPU seconds of the machine, the system and the store; nan for what is not known."""
    times = psutil.cpu_times()
    nan = float("nan")
    return {
        "clock": monotonic(),
        "machine": times.user + times.nice + times.system + times.irq + times.softirq,
        "service": service.cpu_s() if service else nan,
        "store": store.cpu_s() if store else nan,
    }
