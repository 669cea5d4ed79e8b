"""``tollgate down``: removes every process of a stack, and proves it. The data stays."""

from dataclasses import dataclass

from cluster import head
from cluster.ports import holders_of, is_taken
from cluster.processes import MLFLOW, RAY, TRAINING, VALKEY, Owned, name_of, owned_by, stop
from cluster.record import exclusive, forget
from cluster.serve_rest import shut_down
from cluster.settings import ClusterSettings
from cluster.steps import Steps
from cluster.waiting import wait_until
from features.errors import ClusterError

# Valkey writes its append-only file out when it ends; killing it earlier would lose a second of writes.
VALKEY_GRACE_S = 60.0


@dataclass(frozen=True)
class DownResult:
    """How many processes ``down`` stopped, and which of them had to be killed."""

    stopped: int
    killed: tuple[str, ...]


def down(settings: ClusterSettings, steps: Steps) -> DownResult:
    """Stop everything that carries the mark of the state folder, whatever else of the stack still lives.

    Raises:
        ClusterError: a process survived, or a port of the stack is still held; names who holds it.
    """
    with exclusive(settings.home):
        before = owned_by(settings.home)
        if head.is_up(settings):
            with steps.step("Serve: draining and shutting down") as tell:
                if not shut_down(settings):
                    tell("it did not end in time; its processes are stopped next")
        killed = [
            *stop_part(settings, steps, "Training", TRAINING),
            *_stop_ray(settings, steps),
            *stop_part(settings, steps, "MLflow", MLFLOW),
            *stop_part(settings, steps, "Valkey", VALKEY, VALKEY_GRACE_S),
        ]
        with steps.step("Checking that nothing is left"):
            stop(owned_by(settings.home), settings.waits.process_stop_s)
            _prove(settings, before)
        head.keep_logs(settings)
        forget(settings)
    return DownResult(len(before), tuple(map(str, killed)))


def stop_part(
    settings: ClusterSettings, steps: Steps, title: str, component: str, grace_s: float | None = None
) -> list[Owned]:
    """Stop the processes of a component, in order, and return those that had to be killed.

    Args:
        grace_s: how long they have; None: as long as most.
    """
    owned = owned_by(settings.home, component)
    if not owned:
        return []
    with steps.step(title) as tell:
        killed = stop(owned, settings.waits.process_stop_s if grace_s is None else grace_s)
        tell(f"{len(owned)} processes" + (f", killed {', '.join(map(str, killed))}" if killed else ""))
    return killed


def _stop_ray(settings: ClusterSettings, steps: Steps) -> list[Owned]:
    if not owned_by(settings.home, RAY):
        return []
    with steps.step("Ray, Serve and HAProxy") as tell:
        killed = head.stop_ray(settings)
        tell(f"killed {', '.join(map(str, killed))}" if killed else "")
    return killed


def _prove(settings: ClusterSettings, before: list[Owned]) -> None:
    if left := owned_by(settings.home):
        raise ClusterError(f"These processes did not end: {', '.join(map(str, left))}.")
    if not before:
        return  # Nothing of ours ran, so whoever holds one of the ports is a stranger, and may.
    taken = settings.needed_ports()
    if wait_until(lambda: not any(is_taken(port) for port in taken), settings.waits.ports_s):
        return
    held = [f"{port.number} ({port.name}) by {_holders(port.number)}" for port in taken if is_taken(port)]
    raise ClusterError(f"The processes of the stack are gone, but ports are held: {'; '.join(held)}.")


def _holders(number: int) -> str:
    names = [f"{name_of(process)} (pid {process.pid})" for process in holders_of(number)]
    return ", ".join(names) or "a process of another user"
