"""How the graph scales: each replica says how busy its event loop is, and the policy keeps that near a target.

A hop carries a whole micro-batch a call, so few calls are ever under way, however loaded it is: the number of
ongoing requests, by which Serve scales as a rule, says nothing here. What a replica runs out of is the one thread
that its event loop is.

Busy is the time in which that thread ran or *waited for a core*. CPU time alone is blind where it matters: on a
machine with more work than cores each loop gets a small share of a core, is never idle all the same, and would
never ask for a replica on another machine.

An ingress may run out of something else first: its slots. With two of them and five hops no loop may be half
busy, and transactions wait nevertheless, when each hop answers slowly. So an ingress reports the share of the
allowed wait that its transactions used up, where that is more.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ray.serve.config import AutoscalingContext

METRIC: Final = "busy"
NS: Final = 1e-9


def busy_s_of(thread: int) -> float:
    """Return the seconds that a thread of this process ran, or was ready to run, since it began.

    Linux counts both for each thread (``schedstat``, in nanoseconds); elsewhere it is the CPU time of the process.
    """
    try:
        ran_ns, waited_ns, _ = Path(f"/proc/self/task/{thread}/schedstat").read_text().split()
    except FileNotFoundError:
        return time.process_time()
    return (int(ran_ns) + int(waited_ns)) * NS


class BusyShare:
    """Measures how much of the time the calling thread was busy. Ask it from one thread, the event loop's.

    Args:
        clock: seconds that pass.
        busy_s: seconds in which a thread, by its native id, was busy.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, busy_s: Callable[[int], float] = busy_s_of
    ) -> None:
        self._clock = clock
        self._busy_s = busy_s
        self._last: tuple[float, float] | None = None
        self._share = 0.0

    def since_last(self) -> float:
        """Return the share of the time since the last call, from 0 to 1; the first call returns 0.

        So what a replica does until Serve asks it first (imports, loading a bundle) is not taken for load.
        """
        now = self._clock(), self._busy_s(threading.get_native_id())
        if self._last is not None and now[0] > self._last[0]:
            self._share = (now[1] - self._last[1]) / (now[0] - self._last[0])
        self._last = now
        return self._share

    def stats(self, waited_share: float = 0.0) -> dict[str, float]:
        """Return what a replica's ``record_autoscaling_stats`` reports to Serve, for :class:`ByBusyShare`.

        Args:
            waited_share: of the longest wait that a replica allows, what its transactions waited; where that is
                more than the loop was busy, it is what the replica runs out of.
        """
        return {METRIC: max(self.since_last(), min(waited_share, 1.0))}


class ByBusyShare:
    """Serve's autoscaling policy: as many replicas as bring the busy share of each to the target.

    Serve applies the bounds, factors and delays of ``autoscaling_config`` to what it returns. It keeps the policy
    as a pickle of this class, so the class uses nothing of this module but constants.

    Args:
        target: busy share of a replica's event loop, 0 < target < 1.
    """

    def __init__(self, target: float = 0.6) -> None:
        if not 0 < target < 1:
            raise ValueError(f"target must lie between 0 and 1, not {target}")
        self._target = target

    def __call__(self, context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        """Return the wanted number of replicas, and no state of its own.

        The sum of the shares is the load, whatever the number of replicas that it is spread over. A replica that
        has not reported yet adds nothing to it, so that starting one does not ask for a third; but while one is
        silent nothing is taken away, as the load that it bears is unknown.
        """
        shares = (context.aggregated_metrics or {}).get(METRIC, {})
        wanted = sum(shares.values()) / self._target
        if len(shares) < max(context.current_num_replicas, 1):
            wanted = max(wanted, float(context.target_num_replicas))
        return wanted, {}
